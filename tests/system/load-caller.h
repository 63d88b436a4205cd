/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One who calls the plugins of a Load all the time, on a connection and in a thread of their own, and compares each answer. */
#pragma once

#include "load.h"

#include <random>
#include <thread>

class LoadCaller {
      public:
        enum Kind {
                SMALL, /* of numbered plugins: bursts of a few calls or notes, up to 3,000 bytes */
                LARGE, /* 300,000 to 900,000 bytes, by Send and SendBytes in turn */
                MCP,   /* of the reference server: tools, with progress */
                LSP,   /* of clangd: a document that changes, and questions about it */
        };

        LoadCaller(Load &load, Kind kind, unsigned number);
        ~LoadCaller();

        void begin();
        void end();

      private:
        /* What one caller has told one plugin: the last number, and the last that it is certain to have got. */
        struct Told {
                unsigned long n = 0, certain = 0;
        };
        struct Answer {
                std::string error, text; /* error: "NAME: MESSAGE" */
                int64_t sent;
        };

        unsigned random(unsigned from, unsigned to);
        const std::string &random_plugin();
        std::string params_for(Told &told, const std::string &pad, uint32_t sum);
        bool answered(const std::string &what, const std::string &error, int64_t sent, unsigned long LoadFigures::*counter);
        Answer call(const std::string &id, const std::string &params, bool bytes);
        bool tool(const std::string &id, const std::string &params, const std::string &expected);
        void check_progress(const std::string &id);
        bool notify(const std::string &id, const char *method, const std::string &params);

        /* The N-th thing that each kind does. */
        void small();
        void large(unsigned long n);
        void mcp(unsigned long n);
        void lsp(unsigned long n);

        Load &load_;
        const Kind kind_;
        const unsigned number_;
        std::mt19937 random_;
        Client client_{ system_bus_address };
        std::map<std::string, Told> told_;
        std::string pad_; /* of large ones */
        uint32_t sum_ = 0;
        std::thread thread_;
};
