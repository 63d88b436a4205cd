/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What plugind introspects and what dbus-interfaces/ says are the same: every member, argument, access and annotation, both ways. */
#include "fixture.h"

#include <fstream>
#include <gio/gio.h>
#include <set>
#include <sstream>

namespace {

const char *const emits_changed = "org.freedesktop.DBus.Property.EmitsChangedSignal";

std::string annotations_text(GDBusAnnotationInfo **annotations, const char *emits_default) {
        std::set<std::string> texts;

        if (emits_default)
                texts.insert(std::string(emits_changed) + "=" + emits_default);
        for (; annotations && *annotations; annotations++) {
                if (emits_default && g_str_equal((*annotations)->key, emits_changed))
                        texts.clear();
                texts.insert(std::string((*annotations)->key) + "=" + (*annotations)->value);
        }
        std::string all;
        for (const std::string &text : texts)
                all += " [" + text + "]";
        return all;
}

std::string arguments_text(GDBusArgInfo **arguments, const char *direction) {
        std::string text;

        for (; arguments && *arguments; arguments++)
                text += std::string(" ") + direction + " " + (*arguments)->signature + " " +
                        ((*arguments)->name ? (*arguments)->name : "?") + annotations_text((*arguments)->annotations, nullptr);
        return text;
}

std::string access_text(GDBusPropertyInfoFlags flags) {
        return std::string(flags & G_DBUS_PROPERTY_INFO_FLAGS_READABLE ? "read" : "") +
               (flags & G_DBUS_PROPERTY_INFO_FLAGS_WRITABLE ? "write" : "");
}

/* One line for each member. */
std::set<std::string> members_of(GDBusInterfaceInfo *interface) {
        std::set<std::string> members;

        for (GDBusMethodInfo **m = interface->methods; m && *m; m++)
                members.insert(std::string("method ") + (*m)->name + arguments_text((*m)->in_args, "in") +
                               arguments_text((*m)->out_args, "out") + annotations_text((*m)->annotations, nullptr));
        for (GDBusSignalInfo **s = interface->signals; s && *s; s++)
                members.insert(std::string("signal ") + (*s)->name + arguments_text((*s)->args, "arg") +
                               annotations_text((*s)->annotations, nullptr));
        for (GDBusPropertyInfo **p = interface->properties; p && *p; p++)
                members.insert(std::string("property ") + (*p)->name + " " + (*p)->signature + " " + access_text((*p)->flags) +
                               annotations_text((*p)->annotations, "true"));
        return members;
}

std::set<std::string> members_in(const std::string &xml, const char *interface_name) {
        GError *error = nullptr;
        GDBusNodeInfo *node = g_dbus_node_info_new_for_xml(xml.c_str(), &error);
        std::set<std::string> members;

        if (!node) {
                ADD_FAILURE() << error->message;
                g_error_free(error);
                return members;
        }
        GDBusInterfaceInfo *interface = g_dbus_node_info_lookup_interface(node, interface_name);
        if (interface)
                members = members_of(interface);
        g_dbus_node_info_unref(node);
        return members;
}

std::string file_text(const std::string &path) {
        std::ifstream file(path);
        std::stringstream text;

        text << file.rdbuf();
        return text.str();
}

class Introspection : public Daemon {
      protected:
        void compare(Client &client, const std::string &path, const std::string &interface) {
                Reply live = client.call("org.plugind1", path, "org.freedesktop.DBus.Introspectable", "Introspect", "");

                ASSERT_EQ(live.outcome(), "ok");
                std::set<std::string> found = members_in(live.text, interface.c_str());
                std::set<std::string> contract = members_in(file_text(std::string(INTERFACES) + "/" + interface + ".xml"),
                                                            interface.c_str());
                EXPECT_FALSE(contract.empty());
                for (const std::string &member : contract)
                        EXPECT_TRUE(found.count(member)) << interface << ".xml has, plugind has not: " << member;
                for (const std::string &member : found)
                        EXPECT_TRUE(contract.count(member)) << "plugind has, " << interface << ".xml has not: " << member;
        }
};

TEST_P(Introspection, IsWhatTheContractSays) {
        bad_plugin("some.plugin-1@x");
        start();
        Client client(address());
        load(client, "some.plugin-1@x");

        compare(client, "/org/plugind1", "org.plugind1.Host");
        compare(client, session_path("some.plugin-1@x"), "org.plugind1.Session");
}

TEST_P(Introspection, ListsSessionsAsChildrenOfTheirFolder) {
        bad_plugin("a.b");
        start();
        Client client(address());
        load(client, "a.b");

        Reply folder = client.call("org.plugind1", "/org/plugind1/session", "org.freedesktop.DBus.Introspectable", "Introspect", "");
        EXPECT_NE(folder.text.find("<node name=\"a_2eb\"/>"), std::string::npos) << folder.text;
        Reply objects = client.call("org.plugind1", "/org/plugind1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", "");
        EXPECT_NE(objects.text.find(session_path("a.b") + ": {"), std::string::npos) << objects.text;
        EXPECT_NE(objects.text.find("org.plugind1.Session: {"), std::string::npos) << objects.text;
}

BOTH_BUSES(Introspection);

} // namespace
