/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include "support/process.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE_USEC (120 * G_USEC_PER_SEC) /* under valgrind everything takes its time */

static int appeared(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        bool *there = userdata;
        const char *name, *old_owner, *new_owner;

        must(sd_bus_message_read(message, "sss", &name, &old_owner, &new_owner));
        *there = *there || *new_owner;
        return 0;
}

/* The match comes first, so that it cannot appear unseen. */
static void wait_name(sd_bus *bus, const char *name, pid_t owner) {
        g_autofree char *match = g_strdup_printf("type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='%s'", name);
        sd_bus_message *reply = NULL;
        sd_bus_slot *slot = NULL;
        bool there = false;
        int has_owner;

        must(sd_bus_add_match(bus, &slot, match, appeared, &there));
        must(sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner", NULL, &reply,
                                "s", name));
        must(sd_bus_message_read(reply, "b", &has_owner));
        there = has_owner;
        while (!there) {
                if (must(sd_bus_process(bus, NULL)) > 0)
                        continue;
                if (must(sd_bus_wait(bus, PATIENCE_USEC)) == 0)
                        fail("%s does not appear on the bus (process %i)", name, owner);
        }
        sd_bus_message_unref(reply);
        sd_bus_slot_unref(slot);
}

static sd_bus *connect_client(const char *address) {
        sd_bus *bus = NULL;

        must(sd_bus_new(&bus));
        must(sd_bus_set_address(bus, address));
        must(sd_bus_set_bus_client(bus, true));
        must(sd_bus_start(bus));
        must(sd_bus_set_method_call_timeout(bus, PATIENCE_USEC));
        return bus;
}

static char **environment(const char *address, const char *preload) {
        char **environment = g_get_environ();

        environment = g_environ_setenv(environment, "DBUS_SESSION_BUS_ADDRESS", address, TRUE);
        environment = g_environ_setenv(environment, "PLUGIND_PLUGIN_PATH", "/nonexistent", TRUE);
        environment = g_environ_unsetenv(environment, "NOTIFY_SOCKET");
        return preload ? g_environ_setenv(environment, "LD_PRELOAD", preload, TRUE) : environment;
}

static pid_t start(World *world, char *const *wrapper, char *const *argv, char **envp, const char *name) {
        g_autoptr(GPtrArray) line = g_ptr_array_new();
        g_autofree char *log = g_build_filename(world->folder, name, NULL);
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        pid_t pid;

        for (; wrapper && *wrapper; wrapper++)
                g_ptr_array_add(line, *wrapper);
        for (; *argv; argv++)
                g_ptr_array_add(line, *argv);
        g_ptr_array_add(line, NULL);
        pid = must(process_start((char *const *) (void *) line->pdata, envp, fd, -1));
        close(fd);
        return pid;
}

World *world_new(const WorldSetup *setup) {
        World *world = g_new0(World, 1);
        g_auto(GStrv) envp = NULL, bare_envp = NULL;
        g_autofree char *state = NULL;

        world->folder = temporary_folder_new();
        state = g_strdup_printf("--state-dir=%s/state", world->folder);
        must(private_bus_new(setup->kind, &world->bus));
        world->client = connect_client(private_bus_address(world->bus));
        envp = environment(private_bus_address(world->bus), setup->preload);
        bare_envp = environment(private_bus_address(world->bus), NULL);
        world->daemon = start(world, setup->wrapper,
                              (char *[]){ (char *) PLUGIND_BINARY, (char *) "--user", state, (char *) "--log-target=stderr", NULL }, envp,
                              "plugind.log");
        wait_name(world->client, PLUGIND, world->daemon);
        if (setup->bare) {
                world->bare = start(world, setup->wrapper, (char *[]){ (char *) ECHO_SERVICE_BINARY, NULL }, bare_envp, "echo.log");
                wait_name(world->client, BARE, world->bare);
        }
        return world;
}

World *world_free(World *world) {
        sd_bus_flush_close_unref(world->client);
        kill(world->daemon, SIGTERM); /* it stops its plugins */
        must(process_wait(world->daemon, PATIENCE_USEC));
        process_kill(world->bare);
        private_bus_free(world->bus);
        temporary_folder_free(world->folder);
        g_free(world);
        return NULL;
}

static sd_bus_message *call(World *world, sd_bus_message *message) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *reply = NULL;

        if (sd_bus_call(world->client, message, PATIENCE_USEC, &error, &reply) < 0)
                fail("%s: %s: %s", sd_bus_message_get_member(message), error.name, error.message);
        return reply;
}

char *world_load(World *world, const char *id, const char *dialect, const char *command, const char *argument) {
        g_autofree char *args = argument ? g_strdup_printf(",\"args\":[\"%s\"]", argument) : g_strdup("");
        g_autofree char *manifest = g_strdup_printf("{\"manifestVersion\":1,\"command\":\"%s\"%s,\"dialect\":\"%s\","
                                                    "\"timeouts\":{\"idle\":0},\"restart\":{\"policy\":\"always\",\"burst\":10000}}",
                                                    command, args, dialect);
        sd_bus_message *message = NULL, *reply;
        const char *path;
        char *copy;

        must(sd_bus_message_new_method_call(world->client, &message, PLUGIND, PLUGIND_PATH, "org.plugind1.Host", "Load"));
        must(sd_bus_message_append(message, "sa{sv}", id, 1, "manifest", "s", manifest));
        reply = call(world, message);
        must(sd_bus_message_read(reply, "o", &path));
        copy = g_strdup(path);
        sd_bus_message_unref(message);
        sd_bus_message_unref(reply);
        return copy;
}

void world_unload(World *world, const char *id) {
        must(sd_bus_call_method(world->client, PLUGIND, PLUGIND_PATH, "org.plugind1.Host", "Unload", NULL, NULL, "sa{sv}", id, 0));
}

void world_set_active(World *world, const char *path) {
        must(sd_bus_call_method(world->client, PLUGIND, path, PLUGIND_SESSION, "SetActiveState", NULL, NULL, "sa{sv}", "active", 1, "wait",
                                "b", 1));
}

void world_reset_failed(World *world, const char *path) {
        must(sd_bus_call_method(world->client, PLUGIND, path, PLUGIND_SESSION, "ResetFailed", NULL, NULL, "a{sv}", 0));
}

char *payload_new(size_t size) {
        g_autofree char *filler = g_strnfill(size - strlen("{\"text\":\"\"}"), 'x');

        return g_strdup_printf("{\"text\":\"%s\"}", filler);
}

Target target_bare(bool bytes) {
        return (Target){ BARE, BARE_PATH, BARE, bytes ? "EchoBytes" : "Echo", false, bytes };
}

Target target_session(const char *path, bool bytes) {
        return (Target){ PLUGIND, path, PLUGIND_SESSION, bytes ? "SendBytes" : "Send", true, bytes };
}

sd_bus_message *target_message(World *world, const Target *target, const char *payload, size_t size) {
        sd_bus_message *message = NULL;

        must(sd_bus_message_new_method_call(world->client, &message, target->destination, target->path, target->interface, target->member));
        if (target->session)
                must(sd_bus_message_append_basic(message, 's', "echo"));
        if (target->bytes)
                must(sd_bus_message_append_array(message, 'y', payload, size));
        else
                must(sd_bus_message_append_basic(message, 's', payload));
        if (target->session)
                must(sd_bus_message_append(message, "a{sv}", 0));
        return message;
}

void target_check(const Target *target, sd_bus_message *reply, const char *payload, size_t size) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        const void *data;

        if (error)
                fail("%s: %s: %s", target->member, error->name, error->message);
        if (target->bytes) {
                size_t n;

                must(sd_bus_message_read_array(reply, 'y', &data, &n));
                if (n != size || memcmp(data, payload, n) != 0)
                        fail("%s answered %zu bytes that were not sent", target->member, n);
        } else {
                must(sd_bus_message_read_basic(reply, 's', &data));
                if (strcmp(data, payload) != 0)
                        fail("%s answered what was not sent: %.80s", target->member, (const char *) data);
        }
}

double target_round_trip(World *world, const Target *target, const char *payload, size_t size) {
        double start_usec = now_usec(), usec;
        sd_bus_message *message = target_message(world, target, payload, size), *reply = call(world, message);

        usec = now_usec() - start_usec;
        target_check(target, reply, payload, size);
        sd_bus_message_unref(message);
        sd_bus_message_unref(reply);
        return usec;
}

void target_repeat(World *world, const Target *target, const char *payload, size_t size, unsigned count) {
        for (unsigned i = 0; i < count; i++)
                target_round_trip(world, target, payload, size);
}
