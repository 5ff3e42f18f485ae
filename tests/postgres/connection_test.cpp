// Which hosts are dialled, what is refused, and what messages show.

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <set>

#include "base/descriptor.hpp"
#include "base/sockets.hpp"
#include "storage/postgres/pool.hpp"
#include "tests/postgres/support.hpp"

namespace cpns::storage::testing {
namespace {

/// A port that accepts connections and never answers: a frozen server, whose kernel still works.
class silent_host {
 public:
  silent_host() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&at), size), 0);
    EXPECT_EQ(::listen(socket_.get(), 16), 0);
    ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&at), &size);
    port_ = ntohs(at.sin_port);
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  descriptor socket_;
  std::uint16_t port_ = 0;
};

TEST(postgres_settings, refuse_other_machines_without_a_verified_name) {
  postgres_settings s;
  EXPECT_EQ(code(check(s)), "config_missing") << "no host";
  s.root_certificate = "/etc/ssl/ca.pem";
  s.hosts = {{"10.0.0.1", 5432}, {"db2.example", 5432}};
  EXPECT_EQ(code(check(s)), "ok");
  for (const auto mode : {postgres_tls::disable, postgres_tls::require, postgres_tls::verify_ca}) {
    s.tls = mode;
    EXPECT_EQ(code(check(s)), "config_range") << name_of(mode);
    EXPECT_TRUE(has(said(check(s)), "database host 1 of 2 is on another machine, which needs verify-full"))
        << said(check(s));
  }
  s.hosts = {{"/run/postgresql"}, {"127.0.0.5"}, {"::1"}, {"localhost"}};
  EXPECT_EQ(code(check(s)), "ok");
  s.hosts = {{"127.0.0.1.example.com"}};
  EXPECT_EQ(code(check(s)), "config_range");
  s.tls = postgres_tls::verify_full;
  s.root_certificate.clear();
  EXPECT_EQ(code(check(s)), "config_missing") << "a CA is needed";
}

TEST(postgres_settings, refuse_what_libpq_would_read_as_more_than_one_setting) {
  postgres_settings s;
  s.root_certificate = "/etc/ssl/ca.pem";
  for (const auto* host : {"", "a,b", "@abstract", "postgresql://a", "a\nb"}) {
    s.hosts = {{host}};
    EXPECT_EQ(code(check(s)), "config_range") << host;
  }
  s.hosts = {{"a"}};
  s.database = "cpns sslmode=disable host=evil";
  EXPECT_EQ(code(check(s)), "config_range");
}

TEST(postgres_hosts, leave_a_host_that_accepts_and_never_answers_and_one_that_refuses) {
  const silent_host silent;
  auto s = server().fresh_store();
  s.dial = milliseconds(300);
  s.hosts = {{"127.0.0.1", silent.port()}, {"127.0.0.1", free_port(SOCK_STREAM)}, s.hosts.front()};
  s.tls = postgres_tls::disable;
  for (int i = 0; i < 4; ++i) {
    const auto store = open(s);
    ASSERT_TRUE(store) << "in any order";
    EXPECT_EQ(outcomes(*store, {{put("r" + std::to_string(i), 0, "")}}), "ok");
  }
}

TEST(postgres_hosts, are_named_by_number_when_none_answers) {
  const silent_host silent;
  auto s = impatient(server().fresh_store());
  s.hosts = {{"127.0.0.1", silent.port()}};
  s.tls = postgres_tls::disable;
  EXPECT_EQ(said(open_postgres_store(s)),
            "the store cannot be opened: cannot connect to the database host: no answer within 500ms");
  s.hosts = {{"127.0.0.1", free_port(SOCK_STREAM)}};
  EXPECT_TRUE(has(said(open_postgres_store(s)), "Connection refused")) << said(open_postgres_store(s));
}

/// A former primary that was cut off from its cluster accepts connections, and no write on it ever ends.
TEST(postgres_hosts, begin_behind_the_one_that_missed_a_limit) {
  auto s = impatient(server().fresh_store());
  s.doubt = milliseconds(8000);
  const auto store = open(s);
  const auto before = server().backends(s.database);
  for (const auto p : before) ASSERT_EQ(::kill(p, SIGSTOP), 0);
  EXPECT_EQ(outcomes(*store, {{put("ann", 0, "a")}}), "ok");
  EXPECT_EQ(read(*store, "ann"), "1:a") << "idle connections to the suspect were closed, too";
  for (const auto p : before) ASSERT_EQ(::kill(p, SIGCONT), 0);
}

TEST(postgres_hosts, are_tried_behind_a_suspect_and_not_again_from_the_first) {
  auto s = server().fresh_store();
  s.hosts.push_back({"127.0.0.1", server().port()});
  s.tls = postgres_tls::disable;
  std::set<std::size_t> beginnings;
  for (int i = 0; i < 30; ++i) {
    postgres::dialer hosts(s);
    const auto first = hosts.dial().value()->host();
    beginnings.insert(first);
    EXPECT_EQ(hosts.dial().value()->host(), first);
    hosts.suspect(first);
    hosts.suspect(first);
    EXPECT_EQ(hosts.dial().value()->host(), 1 - first);
    EXPECT_EQ(hosts.dial().value()->host(), 1 - first) << "it stays there";
  }
  EXPECT_EQ(beginnings.size(), 2U) << "not every node begins with the same host";
}

TEST(postgres_hosts, lose_their_idle_connections_with_a_suspicion) {
  const auto s = server().fresh_store();
  postgres::dialer hosts(s);
  postgres::connection_pool pool(hosts, 2);
  const auto soon = postgres::connection::steady::now() + seconds(5);
  {
    const auto one = pool.take(soon), other = pool.take(soon);
    ASSERT_TRUE(one && other);
    EXPECT_FALSE(pool.take(postgres::connection::steady::now())) << "both are in use";
  }
  const auto before = server().backends(s.database);
  ASSERT_EQ(before.size(), 2U);
  pool.take(soon)->give_up();
  EXPECT_TRUE(pool.take(soon));
  ASSERT_TRUE(comes_true([&] { return server().backends(s.database).size() == 1; }));
  EXPECT_EQ(std::count(before.begin(), before.end(), server().backends(s.database).front()), 0);
}

TEST(postgres_tls_mode, verify_full_accepts_the_name_of_the_certificate_and_no_other) {
  auto s = server().fresh_store();
  s.tls = postgres_tls::verify_full;
  s.root_certificate = server().ca();
  s.hosts = {{"localhost", server().port()}};
  const auto store = open(s);
  ASSERT_TRUE(store);
  const std::string large(max_value_size, 'v');
  EXPECT_EQ(outcomes(*store, {{put("ann", 0, large)}, {put("bob", 0, large)}}), "ok ok");
  EXPECT_EQ(read(*store, "bob"), "1:" + large);
  EXPECT_EQ(server().sql(s.database,
                         "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
                         "WHERE application_name = 'cpns' AND datname = current_database()"),
            "t");
  s.hosts = {{"127.0.0.1", server().port()}};
  EXPECT_TRUE(has(said(open_postgres_store(s)), "does not match host name")) << said(open_postgres_store(s));
  s.hosts = {{"localhost", server().port()}};
  s.root_certificate = server().other_ca();
  EXPECT_TRUE(has(said(open_postgres_store(s)), "certificate verify failed")) << said(open_postgres_store(s));
}

TEST(postgres_hosts, that_are_read_only_are_not_used) {
  auto s = impatient(server().fresh_store());
  const auto store = open(s);
  ASSERT_EQ(outcomes(*store, {{put("ann", 0, "a")}}), "ok");
  server().sql("postgres", "ALTER DATABASE " + s.database + " SET default_transaction_read_only = on");
  for (const auto p : server().backends(s.database)) ::kill(p, SIGTERM);
  ASSERT_TRUE(comes_true([&] { return server().backends(s.database).empty(); }));
  EXPECT_EQ(code(store->write_one({put("ann", 1, "b")})), "store_unavailable");
  EXPECT_FALSE(store->health().writable);
  EXPECT_TRUE(has(store->health().why, "read-only")) << store->health().why;
  EXPECT_EQ(code(open_postgres_store(s)), "store_unavailable");
  server().sql("postgres", "ALTER DATABASE " + s.database + " RESET default_transaction_read_only");
  EXPECT_TRUE(comes_true([&] { return store->health().writable; }));
  EXPECT_EQ(outcomes(*store, {{put("ann", 1, "b")}}), "ok");
}

/// The server learns in the middle of a session that it is read-only: SQLSTATE 25006.
TEST(postgres_hosts, that_become_read_only_are_left) {
  auto s = impatient(server().fresh_store());
  const auto store = open(s);
  ASSERT_EQ(outcomes(*store, {{put("ann", 0, "a")}}), "ok");
  server().sql(
      s.database,
      "CREATE FUNCTION turn() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
      "SET LOCAL transaction_read_only = on; RETURN NEW; END $$;"
      "CREATE TRIGGER turning BEFORE UPDATE ON cpns_users FOR EACH STATEMENT EXECUTE FUNCTION turn()");
  const auto before = server().backends(s.database);
  const auto refused = store->write_one({put("ann", 1, "b"), put("bob", 0, "b", table::devices)});
  EXPECT_EQ(code(refused), "store_unavailable") << said(refused);
  const auto now = server().backends(s.database);
  EXPECT_TRUE(std::none_of(before.begin(), before.end(), [&](pid_t p) {
    return std::count(now.begin(), now.end(), p) > 0;
  })) << "each attempt used a new connection";
}

class postgres_password : public ::testing::Test {
 protected:
  postgres_password() : settings_(server().fresh_store()) {
    settings_.hosts = {{"127.0.0.1", server().port()}};
    settings_.tls = postgres_tls::disable;
    settings_.user = "with_password";
    settings_.password_file = folder_ / "password";
    server().sql("postgres", "DO $$ BEGIN CREATE ROLE with_password LOGIN SUPERUSER PASSWORD 'tea-Pot-4711'; "
                             "EXCEPTION WHEN duplicate_object THEN NULL; END $$");
  }
  void write_password(const std::string& text, mode_t mode = 0600) {
    std::ofstream(settings_.password_file, std::ios::trunc) << text << "\n";
    ::chmod(settings_.password_file.c_str(), mode);
  }
  test::temporary_folder folder_;
  postgres_settings settings_;
};

TEST_F(postgres_password, is_read_from_its_file_at_each_attempt_to_connect) {
  write_password("tea-Pot-4711");
  const auto store = open(settings_);
  ASSERT_TRUE(store);
  EXPECT_EQ(outcomes(*store, {{put("ann", 0, "a")}}), "ok");
  server().sql("postgres", "ALTER ROLE with_password PASSWORD 'new-Kettle-12'");
  write_password("new-Kettle-12");
  for (const auto p : server().backends(settings_.database)) ::kill(p, SIGTERM);
  EXPECT_EQ(outcomes(*store, {{put("ann", 1, "b")}}), "ok");
  server().sql("postgres", "ALTER ROLE with_password PASSWORD 'tea-Pot-4711'");
}

TEST_F(postgres_password, is_refused_in_a_file_that_others_may_read) {
  write_password("tea-Pot-4711", 0644);
  EXPECT_EQ(code(open_postgres_store(settings_)), "config_file");
}

TEST_F(postgres_password, whose_file_is_lost_stops_the_store_until_it_is_back) {
  write_password("tea-Pot-4711");
  const auto store = open(settings_);
  ASSERT_TRUE(store);
  std::filesystem::remove(settings_.password_file);
  for (const auto p : server().backends(settings_.database)) ::kill(p, SIGTERM);
  EXPECT_EQ(code(store->write_one({put("ann", 0, "a")})), "store_unavailable");
  EXPECT_FALSE(store->health().writable);
  write_password("tea-Pot-4711");
  EXPECT_TRUE(comes_true([&] { return store->health().writable; })) << store->health().why;
}

TEST_F(postgres_password, is_in_no_message_nor_is_anything_else_of_the_connection) {
  write_password("wrong-Cup-99");
  const auto wrong = said(open_postgres_store(settings_));
  EXPECT_TRUE(has(wrong, "password authentication failed")) << wrong;
  write_password("tea-Pot-4711");
  settings_.database = "no_such_database";
  const auto missing = said(open_postgres_store(settings_));
  EXPECT_TRUE(has(missing, "does not exist")) << missing;
  for (const auto& text : {wrong, missing})
    for (const auto& secret :
         {"wrong-Cup-99", "tea-Pot-4711", "with_password", "no_such_database", "127.0.0.1", "test_"})
      EXPECT_FALSE(has(text, secret)) << text;
}

}  // namespace
}  // namespace cpns::storage::testing
