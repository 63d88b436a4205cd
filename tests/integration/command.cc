/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "command.h"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <pty.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int input_new(const std::string &input) {
        int fd = memfd_create("input", MFD_CLOEXEC);

        if (write(fd, input.data(), input.size()) == (ssize_t) input.size())
                lseek(fd, 0, SEEK_SET);
        return fd;
}

/* Two ends: ours, and the command's. */
static void output_new(bool terminal, int ends[2]) {
        winsize size = { 24, 80, 0, 0 };
        termios attributes = {};

        if (!terminal) {
                if (pipe2(ends, O_CLOEXEC) < 0)
                        ends[0] = ends[1] = -1;
                return;
        }
        openpty(&ends[0], &ends[1], nullptr, nullptr, &size);
        tcgetattr(ends[1], &attributes);
        attributes.c_oflag &= ~OPOST; /* line feeds stay as they are */
        tcsetattr(ends[1], TCSANOW, &attributes);
        fcntl(ends[0], F_SETFD, FD_CLOEXEC);
        fcntl(ends[1], F_SETFD, FD_CLOEXEC);
}

Command::Command(const std::vector<std::string> &line, const std::map<std::string, std::string> &environment, const std::string &input,
                 bool terminal) {
        posix_spawn_file_actions_t actions;
        std::vector<char *> argv;
        char **envp = g_get_environ();
        int in = input_new(input), out_ends[2], err_ends[2];

        for (const std::string &word : line)
                argv.push_back(const_cast<char *>(word.c_str()));
        argv.push_back(nullptr);
        for (const auto &[name, value] : environment)
                envp = g_environ_setenv(envp, name.c_str(), value.c_str(), TRUE);
        output_new(terminal, out_ends);
        output_new(false, err_ends);

        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, in, 0);
        posix_spawn_file_actions_adddup2(&actions, out_ends[1], 1);
        posix_spawn_file_actions_adddup2(&actions, err_ends[1], 2);
        if (posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), envp) != 0)
                pid_ = -1;
        posix_spawn_file_actions_destroy(&actions);
        g_strfreev(envp);
        close(in);
        close(out_ends[1]);
        close(err_ends[1]);
        out_ = out_ends[0];
        err_ = err_ends[0];
}

Command::~Command() {
        if (pid_ > 0) {
                kill(pid_, SIGKILL);
                waitpid(pid_, nullptr, 0);
        }
        for (int fd : { out_, err_ })
                if (fd >= 0)
                        close(fd);
}

static bool read_into(int &fd, std::string &text) {
        char buffer[4096];
        ssize_t n = read(fd, buffer, sizeof(buffer));

        if (n > 0) {
                text.append(buffer, n);
                return true;
        }
        close(fd); /* the end; EIO on a terminal */
        fd = -1;
        return false;
}

/* False when there is nothing more to come, or nothing came. */
bool Command::read_some(uint64_t timeout_usec) {
        pollfd fds[] = { { out_, POLLIN, 0 }, { err_, POLLIN, 0 } };

        if ((out_ < 0 && err_ < 0) || timeout_usec == 0 || poll(fds, 2, (int) (timeout_usec / 1000)) <= 0)
                return false;
        if (fds[0].revents)
                read_into(out_, out);
        if (fds[1].revents)
                read_into(err_, err);
        return true;
}

/* Until a time, however much it says: what draws again and again never falls silent. */
static uint64_t left(gint64 end) {
        gint64 now = g_get_monotonic_time();

        return now < end ? (uint64_t) (end - now) : 0;
}

bool Command::wait_out(const std::string &text, uint64_t timeout_usec) {
        gint64 end = g_get_monotonic_time() + (gint64) timeout_usec;

        while (out.find(text) == std::string::npos)
                if (!read_some(left(end)))
                        return false;
        return true;
}

bool Command::wait_err(const std::string &text, uint64_t timeout_usec) {
        gint64 end = g_get_monotonic_time() + (gint64) timeout_usec;

        while (err.find(text) == std::string::npos)
                if (!read_some(left(end)))
                        return false;
        return true;
}

int Command::wait() {
        gint64 end = g_get_monotonic_time() + (gint64) patience_usec;
        int status;

        while (read_some(left(end)))
                ;
        if (pid_ < 0 || out_ >= 0 || err_ >= 0 || waitpid(pid_, &status, 0) != pid_)
                return -1;
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void Command::signal(int number) const {
        kill(pid_, number);
}
