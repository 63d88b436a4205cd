/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus/duplex-fd.h"

#include "bus/options.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static const Option connect_options[] = { { "framing", OPTION_STRING, 0 }, {} };

static const char *kind_of_file(mode_t mode) {
        switch (mode & S_IFMT) {
        case S_IFREG:
                return "a regular file";
        case S_IFDIR:
                return "a directory";
        case S_IFIFO:
                return "a pipe";
        case S_IFCHR:
                return "a character device";
        case S_IFBLK:
                return "a block device";
        default:
                return "an anonymous file";
        }
}

/* Only what gives bytes in both directions and tells of its end. */
static int check_stream(int fd, PlugindError *error) {
        int type = 0, listens = 0;
        socklen_t size = sizeof(type);
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISSOCK(st.st_mode))
                return plugind_error_set(error, PLUGIND_ERROR_INVALID_ARGS, "duplex: found %s, expected a connected stream socket",
                                         kind_of_file(st.st_mode));
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
                return -errno;
        if (type != SOCK_STREAM)
                return plugind_error_set(error, PLUGIND_ERROR_INVALID_ARGS, "duplex: found a %s socket, expected a connected stream socket",
                                         type == SOCK_SEQPACKET ? "packet"
                                         : type == SOCK_DGRAM   ? "datagram"
                                                                : "raw");
        size = sizeof(listens);
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) >= 0 && listens)
                return plugind_error_set(error, PLUGIND_ERROR_INVALID_ARGS, "duplex: found a listening socket, expected a connected one");
        return 0;
}

int duplex_fd_connect(sd_bus_message *message, Session *session, PlugindError *error) {
        Framing framing = session->manifest->framing;
        const char *name = NULL;
        int fd, duplicate, r;

        r = sd_bus_message_read_basic(message, 'h', &fd);
        if (r >= 0)
                r = options_read(message, connect_options, &name, error);
        if (r < 0)
                return r;
        if (name) {
                framing = framing_from_string(name);
                if (framing == _FRAMING_INVALID)
                        return plugind_error_set(error, PLUGIND_ERROR_INVALID_ARGS,
                                                 "option \"framing\" of Connect: found \"%s\", expected \"lines\" or \"headers\"", name);
        }
        r = check_stream(fd, error);
        if (r < 0)
                return r;
        duplicate = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* the message owns FD */
        if (duplicate < 0)
                return -errno;
        r = session_connect(session, duplicate, framing, error);
        if (r < 0)
                close(duplicate);
        return r;
}
