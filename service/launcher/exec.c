/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The last step, and why it failed: execve() tells an errno, and the same one for a missing program, a missing interpreter and a program
 * that only this sandbox hides. */
#include "launcher/exec.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define INTERPRETER_MAX 256

/* The interpreter of a script, or the loader of a program for this kind of machine. */
static bool find_interpreter(const char *path, char interpreter[INTERPRETER_MAX]) {
        char head[4096] = {};
        Elf64_Ehdr elf;
        bool found = false;
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t size = fd < 0 ? -1 : read(fd, head, sizeof head - 1);

        if (size > 2 && head[0] == '#' && head[1] == '!') {
                const char *start = head + 2 + strspn(head + 2, " \t");

                found = snprintf(interpreter, INTERPRETER_MAX, "%.*s", (int) strcspn(start, " \t\r\n"), start) > 0;
        }
        memcpy(&elf, head, sizeof elf);
        if (size > (ssize_t) sizeof elf && memcmp(elf.e_ident, ELFMAG, SELFMAG) == 0 && elf.e_ident[EI_CLASS] == ELFCLASS64)
                for (size_t i = 0; i < elf.e_phnum; i++) {
                        size_t at = elf.e_phoff + i * sizeof(Elf64_Phdr);
                        Elf64_Phdr part;

                        if (at > (size_t) size - sizeof part)
                                break;
                        memcpy(&part, head + at, sizeof part);
                        if (part.p_type != PT_INTERP || part.p_offset >= (size_t) size)
                                continue;
                        found = snprintf(interpreter, INTERPRETER_MAX, "%s", head + part.p_offset) > 0;
                }
        if (fd >= 0)
                close(fd);
        return found;
}

/* plugind saw it before it started this unit, so it is most likely the sandbox that hides it. */
static const char *hidden(bool sandboxed) {
        return sandboxed ? " inside the sandbox (readOnlyPaths of the manifest opens what it needs)" : "";
}

static void explain(const char *command, int error, bool sandboxed, char *text, size_t size) {
        char interpreter[INTERPRETER_MAX];
        struct statvfs mount;

        if (access(command, F_OK) < 0)
                snprintf(text, size, "cannot run %s: %s%s", command, strerror(error), hidden(sandboxed));
        else if (error == ENOENT && find_interpreter(command, interpreter))
                snprintf(text, size, "cannot run %s: its interpreter %s: %s%s", command, interpreter, strerror(error), hidden(sandboxed));
        else if (error == ENOEXEC)
                snprintf(text, size, "cannot run %s: %s: neither a program for this machine nor a script that begins with #!", command,
                         strerror(error));
        else if (error == EACCES && statvfs(command, &mount) == 0 && (mount.f_flag & ST_NOEXEC))
                snprintf(text, size, "cannot run %s: %s: nothing on its file system may be run", command, strerror(error));
        else if (error == EACCES)
                snprintf(text, size, "cannot run %s: %s: it is not executable for user %u", command, strerror(error), (unsigned) geteuid());
        else
                snprintf(text, size, "cannot run %s: %s", command, strerror(error));
}

void plugin_exec(const Spec *spec, bool sandboxed, char *text, size_t size) {
        if (chdir(spec->cwd) < 0) {
                snprintf(text, size, "cannot run %s in the directory %s: %s%s", spec->command, spec->cwd, strerror(errno),
                         hidden(sandboxed));
                return;
        }
        execve(spec->command, spec->args, spec->env);
        explain(spec->command, errno, sandboxed, text, size);
}
