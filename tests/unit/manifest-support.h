/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of manifests share. */
#pragma once

#include "folder.h"

#include <memory>
#include <vector>

extern "C" {
#include "host/manifest.h"
}

using ManifestPointer = std::unique_ptr<Manifest, decltype(&manifest_unref)>;

struct Parsed {
        ManifestPointer manifest{ nullptr, manifest_unref };
        int result = 0;
        PlugindErrorCode code = PLUGIND_ERROR_NONE;
        std::string message;
};

template <typename Read> Parsed parse_with(Read read) {
        Manifest *manifest = nullptr;
        PlugindError error = {};
        Parsed parsed;

        parsed.result = read(&manifest, &error);
        parsed.manifest.reset(manifest);
        parsed.code = error.code;
        parsed.message = error.message ? error.message : "";
        plugind_error_clear(&error);
        return parsed;
}

inline Parsed parse(const std::string &text, const char *id = "x", uid_t giver = 0) {
        return parse_with([&](Manifest **manifest, PlugindError *error) {
                return manifest_parse(text.data(), text.size(), "FILE", id, giver, manifest, error);
        });
}

inline Parsed load(const std::string &path, const char *id = nullptr) {
        return parse_with([&](Manifest **manifest, PlugindError *error) { return manifest_load_as(path.c_str(), id, manifest, error); });
}

/* Commands are looked for in a folder of our own while this lives. */
class Commands {
      public:
        explicit Commands(std::vector<std::string> names = { "tool" }) {
                for (const std::string &name : names)
                        folder_.write(name, "#!/bin/sh\n", 0755);
                manifest_set_command_path(folder_.path().c_str());
        }
        ~Commands() {
                manifest_set_command_path(nullptr);
        }
        const Folder &folder() const {
                return folder_;
        }

      private:
        Folder folder_;
};

/* Everything of a manifest, for comparing. */
inline std::string dump(const Manifest *m) {
        std::stringstream out;
        auto text = [&](const char *name, const char *value) {
                if (value)
                        out << name << "=" << value << "\n";
        };
        auto list = [&](const char *name, char **values) {
                for (; values && *values; values++)
                        text(name, *values);
        };

        text("id", m->id);
        text("name", m->name);
        text("version", m->version);
        text("description", m->description);
        text("command", m->command);
        list("args", m->args);
        list("env", m->env);
        text("cwd", m->cwd);
        text("dialect", m->dialect->name);
        text("configuration", m->configuration);
        text("rootUri", m->lsp_root_uri);
        text("initializationOptions", m->lsp_initialization_options);
        text("era", m->mcp_era);
        list("readWritePaths", m->sandbox.read_write_paths);
        list("readOnlyPaths", m->sandbox.read_only_paths);
        list("devices", m->sandbox.devices);
        list("syscalls", m->sandbox.syscalls);
        text("user", m->sandbox.user);
        out << "sandbox=" << sandbox_profile_to_string(m->sandbox.profile) << " " << m->sandbox.memory_max << " " << m->sandbox.tasks_max
            << " " << m->sandbox.cpu_quota_usec << "\n";
        out << "type=" << m->type << " framing=" << m->framing << " activation=" << m->activation << "\n";
        out << "restart=" << m->restart.policy << " " << m->restart.delay_usec << " " << m->restart.max_delay_usec << " "
            << m->restart.reset_after_usec << " " << m->restart.burst << " " << m->restart.interval_usec;
        for (size_t i = 0; i < m->restart.n_prevent_exit; i++)
                out << " " << m->restart.prevent_exit[i];
        out << "\ntimeouts=" << m->timeouts.start_usec << " " << m->timeouts.stop_usec << " " << m->timeouts.request_usec << " "
            << m->timeouts.idle_usec << "\n";
        out << "health=" << m->health.interval_usec << " " << m->health.timeout_usec << " " << m->health.failures << "\n";
        return out.str();
}
