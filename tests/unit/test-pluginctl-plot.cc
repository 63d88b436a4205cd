/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The picture is well-formed whatever is in it, and shows what happened. */
#include "pluginctl.h"

#include <clocale>
#include <gtest/gtest.h>
#include <vector>

class PluginctlPlot : public testing::Test {
      protected:
        static constexpr uint64_t start = UINT64_C(1795260494000000); /* Sat 2026-11-21 11:28:14 UTC */
        GPtrArray *sessions = g_ptr_array_new_with_free_func([](void *session) { plot_session_free((PlotSession *) session); });
        PlotRange range = { 0, start + 100 * USEC_PER_SEC };

        struct Element {
                std::string name, class_name;
                double x = 0, width = 0;
        };
        std::vector<Element> elements;
        std::string texts, picture;

        void SetUp() override {
                setenv("TZ", "UTC", 1);
                setlocale(LC_ALL, "C.UTF-8");
        }
        void TearDown() override {
                g_ptr_array_unref(sessions);
                setlocale(LC_ALL, "C");
                unsetenv("TZ");
        }
        PlotSession *add(const char *id) {
                PlotSession *session = plot_session_new(id);

                g_ptr_array_add(sessions, session);
                return session;
        }
        /* SECONDS after the start. */
        static void change(PlotSession *session, double seconds, const char *to, const char *from, const char *reason = "requested",
                           int signal = 0) {
                PlotChange change = { start + (uint64_t) (seconds * 1e6), (char *) to, (char *) from, (char *) reason, -1, signal };

                plot_session_add(session, &change);
        }
        static void crash(PlotSession *session, double seconds) {
                change(session, seconds, "restarting", "active", "killed", 9);
                change(session, seconds, "starting", "restarting", "restart");
                change(session, seconds + 0.001, "connecting", "starting", "started");
                change(session, seconds + 0.002, "active", "connecting", "connected");
        }

        /* Draws and reads it again. */
        void draw(const char *where = "here", unsigned n_left_out = 0) {
                static const GMarkupParser parser = {
                        [](GMarkupParseContext *, const char *name, const char **names, const char **values, void *userdata, GError **) {
                                auto *self = (PluginctlPlot *) userdata;
                                Element element{ name, "" };

                                for (size_t i = 0; names[i]; i++) {
                                        std::string key = names[i];
                                        if (key == "class")
                                                element.class_name = values[i];
                                        else if (key == "x" || key == "cx")
                                                element.x = g_ascii_strtod(values[i], nullptr);
                                        else if (key == "width")
                                                element.width = g_ascii_strtod(values[i], nullptr);
                                }
                                self->elements.push_back(element);
                        },
                        nullptr,
                        [](GMarkupParseContext *, const char *text, size_t size, void *userdata, GError **) {
                                ((PluginctlPlot *) userdata)->texts += std::string(text, size) + "|";
                        },
                        nullptr,
                        nullptr,
                };
                GString *out = g_string_new(nullptr);
                GError *error = nullptr;

                elements.clear();
                texts.clear();
                plot_append(out, sessions, &range, where, n_left_out);
                picture = out->str;
                GMarkupParseContext *context = g_markup_parse_context_new(&parser, (GMarkupParseFlags) 0, this, nullptr);
                EXPECT_TRUE(g_markup_parse_context_parse(context, out->str, (gssize) out->len, &error) &&
                            g_markup_parse_context_end_parse(context, &error))
                        << (error ? error->message : "");
                g_clear_error(&error);
                g_markup_parse_context_free(context);
                g_string_free(out, true);
        }
        std::vector<Element> of(const std::string &name, const std::string &class_name) {
                std::vector<Element> found;

                for (const Element &element : elements)
                        if (element.name == name && element.class_name == class_name && element.width != 18 && element.width != 8)
                                found.push_back(element); /* not the legend, not the dot at the end */
                return found;
        }
        /* But for the one in the legend. */
        size_t marks(const std::string &class_name) {
                return of("g", class_name).size() - 1;
        }
};

TEST_F(PluginctlPlot, BarsLastAsLongAsTheStates) {
        PlotSession *session = add("one");

        change(session, 0, "starting", "inactive");
        change(session, 10, "active", "starting", "connected");
        change(session, 50, "stopping", "active");
        change(session, 50.001, "inactive", "stopping");
        draw();
        ASSERT_EQ(of("rect", "starting").size(), 1u);
        ASSERT_EQ(of("rect", "active").size(), 1u);
        ASSERT_EQ(of("rect", "stopping").size(), 1u);
        Element starting = of("rect", "starting")[0], active = of("rect", "active")[0], stopping = of("rect", "stopping")[0];
        EXPECT_NEAR(active.width / starting.width, 4, 0.05);
        EXPECT_NEAR(active.x, starting.x + starting.width, 0.2);
        EXPECT_NEAR(stopping.x, active.x + active.width, 0.2);
        EXPECT_GE(stopping.width, 1) << "a millisecond can be seen";
        EXPECT_NE(texts.find("|active 40s|"), std::string::npos) << texts;
        EXPECT_NE(texts.find("|Sat 2026-11-21 11:28:13 UTC to Sat 2026-11-21 11:29:54 UTC (1min 41s)|"), std::string::npos) << texts;
        EXPECT_NE(texts.find("|11:28:30|"), std::string::npos) << "a tick";
}

TEST_F(PluginctlPlot, FailuresAndRestartsAreMarkedAndCountedWhereTheyCrowd) {
        PlotSession *session = add("one");

        change(session, 0, "active", "connecting");
        crash(session, 20);
        crash(session, 60);
        draw();
        EXPECT_EQ(marks("crash"), 2u);
        EXPECT_EQ(marks("restart"), 2u);
        EXPECT_NE(texts.find("|active, 2 failures, 2 restarts|"), std::string::npos) << texts;
        EXPECT_NE(texts.find("active -> restarting (killed, signal 9)"), std::string::npos) << texts;

        for (int i = 1; i <= 4; i++)
                crash(session, 60 + i * 0.1);
        draw();
        EXPECT_EQ(marks("crash"), 2u);
        EXPECT_NE(texts.find("|5|"), std::string::npos) << texts;
        change(session, 70, "restarting", "active", "exited");
        change(session, 80, "errored", "restarting", "run");
        draw();
        EXPECT_EQ(marks("crash"), 3u) << "errored is the end of the same failure";
        EXPECT_NE(texts.find("|errored, 7 failures, 6 restarts|"), std::string::npos) << texts;
}

TEST_F(PluginctlPlot, NothingIsTakenForMarkup) {
        PlotSession *session = add("<b>&\x1b[31m\"'\xff");

        change(session, 0, "<state>", "a&b", "]]>\x01");
        draw("<where>", 2);
        EXPECT_EQ(picture.find("<b>"), std::string::npos);
        EXPECT_EQ(picture.find('\x1b'), std::string::npos);
        EXPECT_EQ(picture.find('\x01'), std::string::npos);
        EXPECT_TRUE(g_utf8_validate(picture.c_str(), -1, nullptr));
        EXPECT_NE(texts.find("<b>&\\x1b[31m"), std::string::npos) << texts;
        EXPECT_NE(texts.find("|Plugins of <where>|"), std::string::npos) << texts;
        EXPECT_NE(texts.find("|2 sessions that never ran are left out.|"), std::string::npos) << texts;
        EXPECT_EQ(of("rect", "unknown").size(), 2u) << "states of a later plugind";
}

TEST_F(PluginctlPlot, NothingAtAllIsAPictureToo) {
        draw();
        add("never");
        draw();
        EXPECT_NE(texts.find("|never|"), std::string::npos);
        EXPECT_NE(texts.find("|inactive|"), std::string::npos);
}

TEST_F(PluginctlPlot, SinceCutsAndWhatIsNotKnownIsFaint) {
        PlotSession *session = add("one");

        change(session, 0, "active", "starting"); /* older changes were dropped */
        change(session, 80, "errored", "active", "run");
        draw();
        EXPECT_EQ(of("rect", "starting").size(), 1u);
        EXPECT_NE(picture.find("opacity=\"0.4\""), std::string::npos);
        range.since_usec = start + 90 * USEC_PER_SEC;
        draw();
        EXPECT_TRUE(of("rect", "active").empty());
        ASSERT_EQ(of("rect", "errored").size(), 1u);
        EXPECT_EQ(marks("crash"), 0u);
        EXPECT_NE(texts.find("|Sat 2026-11-21 11:29:44 UTC to"), std::string::npos) << texts;
}

TEST_F(PluginctlPlot, WhatCameFirstIsOnTop) {
        change(add("late"), 30, "active", "inactive");
        add("never");
        change(add("early"), 10, "active", "inactive");
        draw();
        EXPECT_LT(texts.find("|early|"), texts.find("|late|"));
        EXPECT_LT(texts.find("|late|"), texts.find("|never|"));
}

TEST_F(PluginctlPlot, TicksAreRoundAndNotTooMany) {
        for (uint64_t span = 1000; span < UINT64_C(1) << 60; span = span * 3 / 2) {
                uint64_t step = plot_step(span, 10);
                ASSERT_GT(step, 0u);
                EXPECT_LE(span / step, 10u) << span;
        }
        EXPECT_EQ(plot_step(100 * USEC_PER_SEC, 10), 10 * USEC_PER_SEC);
        EXPECT_EQ(plot_step(3600 * USEC_PER_SEC, 10), 600 * USEC_PER_SEC);
}
