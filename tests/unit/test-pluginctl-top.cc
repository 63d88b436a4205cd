/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pluginctl.h"

#include <clocale>
#include <gtest/gtest.h>
#include <map>
#include <unistd.h>

class PluginctlTop : public testing::Test {
      protected:
        TopLook before = { 10 * USEC_PER_SEC, nullptr }, now = { 12 * USEC_PER_SEC, nullptr };

        void SetUp() override {
                setlocale(LC_ALL, "C.UTF-8");
                for (TopLook *look : { &before, &now })
                        look->figures = g_ptr_array_new_with_free_func([](void *figures) { figures_free((Figures *) figures); });
        }
        void TearDown() override {
                g_ptr_array_unref(before.figures);
                g_ptr_array_unref(now.figures);
                setlocale(LC_ALL, "C");
        }
        static Figures *add(TopLook &look, const char *id, uint64_t answered = 0, const char *state = "active") {
                Figures *figures = g_new0(Figures, 1);

                figures->id = g_strdup(id);
                figures->state = g_strdup(state);
                figures->unit = g_strdup("");
                figures->answered = answered;
                figures->latency = g_array_new(false, false, sizeof(LatencyBucket));
                figures->usage = { figures->unit, 42, USAGE_UNKNOWN, USAGE_UNKNOWN, USAGE_UNKNOWN };
                g_ptr_array_add(look.figures, figures);
                return figures;
        }
        static void took(Figures *figures, const std::map<uint64_t, uint64_t> &counts) {
                for (auto [below, count] : counts) {
                        LatencyBucket bucket = { below, count };
                        g_array_append_val(figures->latency, bucket);
                }
        }
        std::string ids(TopOrder order) {
                GArray *rows = top_rows(&before, &now, order);
                std::string text;

                for (guint i = 0; i < rows->len; i++)
                        text += std::string(i > 0 ? " " : "") + g_array_index(rows, TopRow, i).figures->id;
                g_array_unref(rows);
                return text;
        }
        TopRow only(const TopLook *from) {
                GArray *rows = top_rows(from, &now, TOP_BY_NAME);
                TopRow row = g_array_index(rows, TopRow, 0);

                EXPECT_EQ(rows->len, 1u);
                g_array_unref(rows);
                return row;
        }
};

TEST_F(PluginctlTop, RatesAreWhatCameSinceTheLastLook) {
        Figures *a = add(before, "a", 100), *b = add(now, "a", 150);

        a->failed = 1;
        b->failed = 2;
        b->plugin_errors = 1;
        a->usage.cpu_nsec = 5'000'000'000;
        b->usage.cpu_nsec = 6'000'000'000;
        took(a, { { 8, 100 } });
        took(b, { { 8, 100 }, { 10, 49 }, { 1000, 1 } });
        TopRow row = only(&before);
        EXPECT_DOUBLE_EQ(row.calls_per_second, 26);
        EXPECT_DOUBLE_EQ(row.cpu_percent, 50);
        EXPECT_EQ(row.p99_usec, 1000u);
        row = only(nullptr);
        EXPECT_LT(row.calls_per_second, 0);
        EXPECT_LT(row.cpu_percent, 0);
}

TEST_F(PluginctlTop, AProcessThatIsNewHasUsedAllOfItsTimeSince) {
        Figures *a = add(before, "a"), *b = add(now, "a");

        a->usage.cpu_nsec = 5'000'000'000;
        b->usage.cpu_nsec = 1'000'000'000;
        b->usage.pid = 43;
        EXPECT_DOUBLE_EQ(only(&before).cpu_percent, 50);
        b->usage.pid = 42;
        EXPECT_LT(only(&before).cpu_percent, 0) << "time does not go back";
}

TEST_F(PluginctlTop, ASessionThatWasLoadedAnewStartsOver) {
        took(add(before, "a", 100), { { 8, 100 } });
        took(add(now, "a", 20), { { 8, 10 }, { 16, 10 } });
        EXPECT_DOUBLE_EQ(only(&before).calls_per_second, 10);
        EXPECT_EQ(only(&before).p99_usec, 16u);
}

TEST_F(PluginctlTop, QuantilesAreUpperBounds) {
        Figures *a = add(now, "a");

        EXPECT_EQ(figures_latency(nullptr, a, 0.99), 0u) << "there were none";
        took(a, { { 8, 98 }, { 20, 1 }, { UINT64_MAX, 1 } });
        EXPECT_EQ(figures_latency(nullptr, a, 0.5), 8u);
        EXPECT_EQ(figures_latency(nullptr, a, 0.98), 8u);
        EXPECT_EQ(figures_latency(nullptr, a, 0.99), 20u);
        EXPECT_EQ(figures_latency(nullptr, a, 1), UINT64_MAX);
        EXPECT_EQ(figures_latency(a, a, 0.5), 0u);
}

TEST_F(PluginctlTop, TheMostComesFirstAndWhatIsNotKnownLast) {
        for (TopLook *look : { &before, &now })
                for (const char *id : { "c", "b", "a", "d" })
                        add(*look, id);
        auto at = [&](guint i) { return (Figures *) now.figures->pdata[i]; };
        at(0)->usage.memory = 1000;
        at(1)->usage.memory = 2000;
        at(0)->usage.tasks = 3;
        at(3)->restarts = 1;
        at(1)->in_flight = 7;
        at(2)->answered = 1;
        took(at(3), { { 8, 1 } });
        EXPECT_EQ(ids(TOP_BY_NAME), "a b c d");
        EXPECT_EQ(ids(TOP_BY_MEMORY), "b c a d");
        EXPECT_EQ(ids(TOP_BY_TASKS), "c a b d");
        EXPECT_EQ(ids(TOP_BY_RESTARTS), "d a b c");
        EXPECT_EQ(ids(TOP_BY_IN_FLIGHT), "b a c d");
        EXPECT_EQ(ids(TOP_BY_CALLS), "a b c d");
        EXPECT_EQ(ids(TOP_BY_P99), "d a b c");
        EXPECT_EQ(ids(TOP_BY_CPU), "a b c d");
}

TEST_F(PluginctlTop, EveryLineIsAsWideAsTheHeaderAndNoneWiderThanTheScreen) {
        add(now, "short");
        Figures *figures = add(now, "a-rather-long-name-of-a-plugin\x1b[31m", 3, "errored");

        figures->usage.memory = 1234567;
        for (size_t width : { (size_t) 20, (size_t) 40, (size_t) 60, (size_t) 80, (size_t) 200, SIZE_MAX }) {
                TopStyle style = { .width = width, .colours = false, .order = TOP_BY_CPU };
                GArray *rows = top_rows(nullptr, &now, TOP_BY_NAME);
                GString *header = g_string_new(nullptr), *line = g_string_new(nullptr);
                size_t id_width = top_id_width(rows, &style);

                top_append_header(header, id_width, &style);
                if (width >= 40) {
                        EXPECT_LE(text_width(header->str), width);
                }
                for (guint i = 0; i < rows->len; i++) {
                        g_string_truncate(line, 0);
                        top_append_row(line, &g_array_index(rows, TopRow, i), id_width, &style);
                        EXPECT_EQ(text_width(line->str), text_width(header->str)) << line->str << "\n" << header->str;
                        EXPECT_EQ(strchr(line->str, '\x1b'), nullptr);
                }
                if (width >= 200) {
                        EXPECT_NE(strstr(line->str, "short"), nullptr);
                        EXPECT_NE(strstr(header->str, "RESTARTS IN FLIGHT  CALLS/S    P99"), nullptr) << header->str;
                }
                g_string_free(header, true);
                g_string_free(line, true);
                g_array_unref(rows);
        }
        GArray *rows = top_rows(nullptr, &now, TOP_BY_NAME);
        EXPECT_EQ(taken(top_summary(rows)), "2 sessions, 1 active, 1 errored  memory 1.2M");
        g_array_unref(rows);
}

TEST_F(PluginctlTop, OrdersHaveNamesAndKeys) {
        for (int i = 0; i < _TOP_ORDER_MAX; i++) {
                int keys = 0;
                for (int key = ' '; key < 0x7f; key++)
                        keys += top_order_from_key(key) == (TopOrder) i;
                EXPECT_EQ(keys, 1) << i;
        }
        EXPECT_EQ(top_order_from_key('q'), _TOP_ORDER_MAX);
        EXPECT_EQ(top_order_from_string("p99"), TOP_BY_P99);
        EXPECT_EQ(top_order_from_string("cpus"), _TOP_ORDER_MAX);
}

TEST(PluginctlScreen, KeysAreToldApart) {
        std::string input = "c\x1b[A\x1b[5~q\x1b[1;5C\x1b\xc3";
        const char *data = input.data();
        size_t size = input.size();
        std::vector<int> keys;

        while (size > 0)
                keys.push_back(screen_key(&data, &size));
        EXPECT_EQ(keys, (std::vector<int>{ 'c', KEY_UP, KEY_PAGE_UP, 'q', KEY_NONE, KEY_NONE, 0xc3 }));
}

TEST(PluginctlProcess, OwnFiguresAreFound) {
        ProcessTable *table = process_table_new();
        ProcessFigures figures = {};

        ASSERT_TRUE(process_table_find(table, getpid(), "", &figures));
        EXPECT_GE(figures.tasks, 1u);
        EXPECT_GT(figures.memory, 100'000u);
        EXPECT_TRUE(process_table_find(table, getpid(), "no-such.service", &figures)) << "then its descendants count";
        EXPECT_FALSE(process_table_find(table, 0x7fffffff, "", &figures));
        process_table_free(table);
}

TEST(PluginctlText, LatenciesFitSixColumns) {
        EXPECT_EQ(taken(text_latency(0)), "0us");
        EXPECT_EQ(taken(text_latency(999)), "999us");
        EXPECT_EQ(taken(text_latency(1250)), "1.25ms");
        EXPECT_EQ(taken(text_latency(20480)), "20.5ms");
        EXPECT_EQ(taken(text_latency(163840)), "164ms");
        EXPECT_EQ(taken(text_latency(3'500'000)), "3.50s");
        EXPECT_EQ(taken(text_latency(234'881'024)), "235s");
        EXPECT_EQ(taken(text_latency(UINT64_MAX)), ">235s");
}
