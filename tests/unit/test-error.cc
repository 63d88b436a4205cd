/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gtest/gtest.h>

extern "C" {
#include "basic/error.h"
}

TEST(Error, SetNamesCodeAndMessageAndReturnsErrno) {
        PlugindError error = PLUGIND_ERROR_INIT;

        EXPECT_EQ(plugind_error_set(&error, PLUGIND_ERROR_NO_SUCH_SESSION, "no session \"%s\" is loaded", "x"), -ENXIO);
        EXPECT_EQ(error.code, PLUGIND_ERROR_NO_SUCH_SESSION);
        EXPECT_STREQ(error.message, "no session \"x\" is loaded");
        EXPECT_STREQ(plugind_error_code_name(error.code), "NoSuchSession");
        plugind_error_clear(&error);
        EXPECT_EQ(error.code, PLUGIND_ERROR_NONE);
        EXPECT_EQ(error.message, nullptr);
}
