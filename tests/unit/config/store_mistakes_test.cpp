// Mistakes in the section `store` of a configuration, with the lines that are printed for them.

#include <gtest/gtest.h>

#include "config/loader.hpp"
#include "no_environment.hpp"

namespace cpns::config {
namespace {

using lines = std::vector<std::string>;

lines printed_store(const std::string& store) {
  const auto c = parse_server("role: server\ntls: {certificate: s, key: k, ca: c}\nprotector: {file: kek}\n"
                              "store: " +
                                  store + "\n",
                              "s.yaml", no_environment);
  return c ? lines{} : c.error().lines();
}

/// Of a database with `settings`.
lines with_database(const std::string& settings) {
  return printed_store("{kind: postgresql, path: node, postgresql: {" + settings + "}}");
}

TEST(store_settings, of_a_database_name_its_hosts_or_its_socket) {
  EXPECT_EQ(with_database("socket: /run/postgresql/.s.PGSQL.5432"), lines{});
  EXPECT_EQ(with_database("hosts: [\"127.0.0.1:5432\"], tls: disable"), lines{});
  EXPECT_EQ(with_database("hosts: [\"db.example.org:5432\"], ca: ca.pem"), lines{});
  EXPECT_EQ(printed_store("{kind: postgresql, path: node}"),
            lines{"s.yaml:4:8: 'store.postgresql' is missing: it names the database"});
  EXPECT_EQ(with_database("database: a"),
            lines{"s.yaml:4:51: 'store.postgresql' must have either 'hosts' or 'socket'"});
  EXPECT_EQ(with_database("hosts: [\"[::1]:1\"], socket: /run/.s.PGSQL.1"),
            lines{"s.yaml:4:51: 'store.postgresql' must have either 'hosts' or 'socket'"});
  const std::string form =
      "s.yaml:4:60: 'store.postgresql.socket' must be the file of PostgreSQL's socket, whose "
      "name is .s.PGSQL. and the port, for example /run/postgresql/.s.PGSQL.5432";
  EXPECT_EQ(with_database("socket: /run/postgresql"), lines{form});
  EXPECT_EQ(with_database("socket: /run/.s.PGSQL.0"), lines{form});
  EXPECT_EQ(with_database("socket: /run/.s.PGSQL.5x"), lines{form});
}

TEST(store_settings, of_a_database_on_another_machine_need_its_certificate_verified) {
  EXPECT_EQ(
      with_database("hosts: [\"db.example.org:5432\"], tls: require"),
      (lines{"s.yaml:4:51: 'store.postgresql.ca' is missing: verify-full needs the authority that signed "
             "the certificate of db.example.org:5432",
             "s.yaml:4:89: 'store.postgresql.tls' must be verify-full, because db.example.org:5432 is "
             "another machine: without it others could take the place of the database"}));
  EXPECT_EQ(with_database("hosts: [\"127.evil.example:5432\"], tls: disable, ca: ca.pem").size(), 1U);
}

TEST(store_settings, of_a_database_cannot_hold_a_connection_string) {
  const auto name = [](const std::string& text) {
    return with_database("socket: /run/.s.PGSQL.1, database: \"" + text + "\"").size();
  };
  EXPECT_EQ(name("cpns"), 0U);
  for (const auto* bad : {"", "a b", "a=b", "postgresql://h/d", "a,b"}) EXPECT_EQ(name(bad), 1U) << bad;
}

TEST(store_settings, of_a_database_are_for_servers_that_use_one) {
  EXPECT_EQ(printed_store("{path: db, postgresql: {socket: /run/.s.PGSQL.1}}"),
            lines{"s.yaml:4:31: 'store.postgresql' has no meaning for a rocksdb store; remove it, or set "
                  "'store.kind' to postgresql"});
  EXPECT_EQ(
      printed_store("{kind: postgresql, postgresql: {socket: /run/.s.PGSQL.1}}"),
      lines{"s.yaml:4:8: 'store.path' is missing: a server with a database needs a folder for its lock"});
  const auto gateway =
      parse_gateway("role: gateway\nname: g\nuser: u\nservers: [h:1]\nprotector: {file: k}\nserver_uri: a:b\n"
                    "tls: {certificate: a, key: b, ca: c}\ntransports: [{name: a, plugin: tcp}]\n"
                    "store: {kind: postgresql, path: p, postgresql: {socket: /run/.s.PGSQL.1}}\n",
                    "g.yaml", no_environment);
  ASSERT_FALSE(gateway);
  EXPECT_EQ(gateway.error().lines(),
            lines{"g.yaml:9:15: 'store': a gateway keeps its keys on its own machine; "
                  "'postgresql' is for servers, use rocksdb"});
}

}  // namespace
}  // namespace cpns::config
