/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/caller.h"

#include "host/session-private.h"

int caller_new(const char *name, uid_t uid, void *userdata, Caller **ret) {
        Caller *caller = g_new0(Caller, 1);

        caller->name = g_strdup(name);
        caller->uid = uid;
        caller->userdata = userdata;
        list_init(&caller->requests);
        list_init(&caller->attachments);
        *ret = caller;
        return 0;
}

Caller *caller_free(Caller *caller) {
        Request *request;
        Attachment *attachment;

        if (!caller)
                return NULL;
        while ((request = list_first(&caller->requests, Request, by_caller)))
                request_cancel(request, "the caller has left");
        while ((attachment = list_first(&caller->attachments, Attachment, by_caller)))
                attachment_free(attachment);
        g_free(caller->name);
        g_free(caller);
        return NULL;
}
