/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is counted of sessions, and what they went through. */
#include "host-fixture.h"

extern "C" {
#include "host/history.h"
#include "host/statistics.h"
}

TEST(Statistics, BucketsLeaveNoGapAndGrowByAQuarterAtMost) {
        uint64_t from = 0;

        for (unsigned i = 0; i < STATISTICS_BUCKETS; i++) {
                uint64_t end = statistics_bucket_end(i);

                ASSERT_GT(end, from) << i;
                EXPECT_EQ(statistics_bucket(from), i);
                EXPECT_EQ(statistics_bucket(end - 1), i);
                if (i < STATISTICS_BUCKETS - 1) {
                        EXPECT_EQ(statistics_bucket(end), i + 1);
                        EXPECT_LE(end - from, MAX(from / 4, 1)) << i;
                }
                from = end;
        }
        EXPECT_EQ(from, UINT64_MAX);
        /* as the contract says */
        for (uint64_t end : { 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20 })
                EXPECT_EQ(statistics_bucket_end(statistics_bucket(end) - 1), end);
        EXPECT_EQ(statistics_bucket(UINT64_MAX), STATISTICS_BUCKETS - 1u);
        EXPECT_EQ(statistics_bucket(235'000'000), STATISTICS_BUCKETS - 1u);
}

TEST(Statistics, OnlyWhatHasATimeIsInTheHistogram) {
        Statistics *statistics = nullptr;

        statistics_count(&statistics, SEND_ANSWERED, 7);
        statistics_count(&statistics, SEND_PLUGIN_ERROR, 7);
        statistics_count(&statistics, SEND_TIMED_OUT, 20'000'000);
        statistics_count(&statistics, SEND_FAILED, 7);
        statistics_count(&statistics, SEND_ANSWERED, USEC_INFINITY);
        EXPECT_EQ(statistics->answered, 2u);
        EXPECT_EQ(statistics->plugin_errors, 1u);
        EXPECT_EQ(statistics->failed, 2u);
        EXPECT_EQ(statistics->latency[statistics_bucket(7)], 2u);
        EXPECT_EQ(statistics->latency[statistics_bucket(20'000'000)], 1u);
        EXPECT_EQ(statistics->latency[STATISTICS_BUCKETS - 1], 0u);
        g_free(statistics);
}

TEST(History, KeepsTheLastOnesInOrder) {
        History *history = nullptr;

        EXPECT_EQ(history_length(history), 0u);
        for (unsigned i = 1; i <= 200; i++) {
                HistoryEntry entry = {};

                entry.realtime_usec = i;
                history_add(&history, &entry);
                unsigned n = history_length(history);
                ASSERT_EQ(n, MIN(i, HISTORY_MAX));
                ASSERT_LE(history->size, MAX(8, 2 * n)) << "memory comes with the entries";
                for (unsigned j = 0; j < n; j++)
                        ASSERT_EQ(history_get(history, j)->realtime_usec, i - n + 1 + j);
        }
        EXPECT_EQ(history_free(history), nullptr);
}

class SessionFigures : public HostTest {};

TEST_F(SessionFigures, ASessionThatNeverRanHasNone) {
        Session *session = load("idle", manifest());

        EXPECT_EQ(session->statistics, nullptr);
        EXPECT_EQ(session->history, nullptr);
        EXPECT_STREQ(session_unit(session), "");
}

TEST_F(SessionFigures, TheUnitIsToldWhenItComesAndWhenItIsGone) {
        Session *session = load("p", manifest());

        session_set_desired(session, true, "requested", nullptr, nullptr);
        EXPECT_STREQ(session_unit(session), "plugind-test-1.service");
        EXPECT_TRUE(changed & SESSION_PROPERTY_UNIT);
        session_set_desired(session, false, "requested", nullptr, nullptr);
        changed = 0;
        process(0)->exit(CLD_EXITED, 0);
        EXPECT_STREQ(session_unit(session), "");
        EXPECT_TRUE(changed & SESSION_PROPERTY_UNIT);

        unit_name = "";
        changed = 0;
        session_set_desired(session, true, "requested", nullptr, nullptr);
        EXPECT_FALSE(changed & SESSION_PROPERTY_UNIT) << "there is none";
}

TEST_F(SessionFigures, EverySendIsCountedOnceAsWhatBecameOfIt) {
        Session *session = load("p", manifest());
        Sent answered, enveloped, refused, cancelled, late, lost;
        PlugindError error{};

        auto answer = [&](const std::string &rest) {
                std::string line = process(0)->line();
                size_t at = line.find("\"id\":") + 5;
                process(0)->say("{\"jsonrpc\":\"2.0\",\"id\":" + line.substr(at, line.find_first_of(",}", at) - at) + "," + rest + "}");
        };
        send(session, alice, "m", "", &answered); /* starts it: that counts too */
        answer("\"result\":1");
        send(session, alice, "m", "", &enveloped, nullptr, true);
        answer("\"error\":{\"code\":1,\"message\":\"x\"}");
        send(session, alice, "m", "", &refused);
        answer("\"error\":{\"code\":1,\"message\":\"x\"}");
        until([&] { return answered.done && enveloped.done && refused.done; });
        EXPECT_EQ(session->statistics->answered, 1u);
        EXPECT_EQ(session->statistics->plugin_errors, 2u);

        send(session, alice, "m", "", &cancelled, "1");
        ASSERT_EQ(session_cancel(session, alice, "1", &error), 0);
        send(session, alice, "m", "", &late, nullptr, false, 1000);
        until([&] { return late.done; });
        send(session, alice, "m", "", &lost);
        process(0)->exit(CLD_KILLED, SIGKILL);
        until([&] { return lost.done; });
        EXPECT_EQ(session->statistics->answered, 1u);
        EXPECT_EQ(session->statistics->plugin_errors, 2u);
        EXPECT_EQ(session->statistics->failed, 3u);

        uint64_t timed = 0;
        for (uint64_t n : session->statistics->latency)
                timed += n;
        EXPECT_EQ(timed, 4u) << "what was answered, and what timed out";
}

TEST_F(SessionFigures, TheHistoryIsWhatStateChangedSaid) {
        Session *session = load("p", manifest());
        std::string told;

        session_set_desired(session, true, "requested", nullptr, nullptr);
        process(0)->exit(CLD_KILLED, SIGSEGV);
        until([&] { return session->state == SESSION_ACTIVE && processes.size() == 2; });
        process(1)->exit(CLD_EXITED, 125);
        until([&] { return session->state == SESSION_ERRORED; });
        for (unsigned i = 0; i < history_length(session->history); i++) {
                const HistoryEntry *entry = history_get(session->history, i);

                told += std::string(i > 0 ? " " : "") + session_state_to_string((SessionState) entry->new_state) + "(" + entry->reason +
                        ")";
                if (i > 0) {
                        EXPECT_EQ(entry->old_state, history_get(session->history, i - 1)->new_state);
                        EXPECT_GE(entry->realtime_usec, history_get(session->history, i - 1)->realtime_usec);
                }
                if (entry->new_state == SESSION_RESTARTING && i < 5)
                        EXPECT_EQ(entry->signal, SIGSEGV);
                else if (entry->new_state == SESSION_RESTARTING || entry->new_state == SESSION_ERRORED)
                        EXPECT_EQ(entry->exit_status, 125);
                else {
                        EXPECT_EQ(entry->signal, 0);
                        EXPECT_EQ(entry->exit_status, -1);
                }
        }
        EXPECT_EQ(history_get(session->history, 0)->old_state, SESSION_INACTIVE);
        EXPECT_EQ(told, states());
}
