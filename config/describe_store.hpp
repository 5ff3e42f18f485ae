#pragma once
// A part of config/describe.hpp, which includes it: the settings of a role's store.

#include "config/describe.hpp"

namespace cpns::config {

template <class V>
void describe(V& v, postgresql_config& c) {
  v("hosts", c.hosts,
    "Addresses `host:port` of the database's servers, or of a proxy before them. They are tried one after "
    "the other, "
    "and the one that accepts writes is used. Either these or `socket`.",
    rules{.max = 32, .text = form::database});
  v("socket", c.socket,
    "File of the database's Unix socket, for example `/run/postgresql/.s.PGSQL.5432`. Either this or "
    "`hosts`.",
    rules{.text = form::database});
  v("database", c.database, "Name of the database.", rules{.text = form::database});
  v("user", c.user,
    "Role of the database that this server uses. It needs no right to change tables; see `cpns store "
    "migrate`.",
    rules{.text = form::database});
  v("password_file", c.password_file,
    "File with the password of `user` in its first line. Without it: none, as with the methods `peer` and "
    "`trust`. "
    "Secret file, see `tls.key`.",
    rules{});
  v("tls", c.tls,
    "How the link to the database is protected, as libpq's `sslmode`. Anything but `verify-full` is "
    "accepted only for a Unix socket and this machine.",
    rules{});
  v("ca", c.ca,
    "PEM file with the authorities that may sign the database's certificate. Required for hosts other than "
    "this machine.",
    rules{});
  v("statements", c.statements,
    "`batch` for PostgreSQL: many rows per statement. `portable` for other engines that speak its "
    "protocol: one row per statement.",
    rules{});
}

template <class V>
void describe(V& v, store_config& c) {
  v("kind", c.kind,
    "Where the role stores durable data: `rocksdb`, in a folder of its own; `postgresql`, for servers alone, "
    "in a database that several servers share; `memory` loses everything at exit and is meant for trials.",
    rules{});
  v("path", c.path,
    "Folder of the store, created if missing. Required for `rocksdb`, and for `postgresql`, where it holds "
    "the lock against a second start of this server.",
    rules{});
  v("give_up_after", c.give_up_after,
    "If the disk accepts no writes for this long, the role ends with exit code 1. If the disk is full, the "
    "role waits without limit, and so it does for a database.",
    rules{.min = bound::second, .max = 365 * bound::day});
  v("postgresql", c.postgresql, "The database of the kind `postgresql`.", rules{});
}

}  // namespace cpns::config
