#include "tests/support/postgres_server.hpp"

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <sstream>

#include "base/sockets.hpp"
#include "crypto/pki.hpp"
#include "storage/postgres/schema.hpp"

namespace cpns::test {

namespace {

constexpr const char* superuser = "cpns_tests";

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "postgres_server: %s\n", why.c_str());
  std::abort();
}

/// The newest one; Debian keeps the programs of a server outside of PATH.
std::filesystem::path programs() {
  std::vector<std::filesystem::path> found;
  std::error_code none;
  for (const auto& version : std::filesystem::directory_iterator("/usr/lib/postgresql", none))
    if (std::filesystem::exists(version.path() / "bin/initdb")) found.push_back(version.path() / "bin");
  if (found.empty()) give_up("PostgreSQL is not installed; scripts/install-deps installs it");
  return *std::max_element(found.begin(), found.end());
}

/// PostgreSQL does not run as root.
const passwd* other_user() {
  if (::geteuid() != 0) return nullptr;
  if (const auto* user = ::getpwnam("postgres")) return user;
  return ::getpwnam("nobody");
}

/// Starts a program, in a child that ends with this process.
pid_t start_program(const std::vector<std::string>& words, const std::string& log) {
  const auto* user = other_user();
  std::vector<char*> arguments;
  for (const auto& w : words) arguments.push_back(const_cast<char*>(w.c_str()));
  arguments.push_back(nullptr);
  const auto child = ::fork();
  if (child != 0) return child;
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  ::dup2(out, 1);
  ::dup2(out, 2);
  if (user != nullptr &&
      (::setgroups(0, nullptr) != 0 || ::setgid(user->pw_gid) != 0 || ::setuid(user->pw_uid) != 0))
    ::_exit(97);
  ::prctl(PR_SET_PDEATHSIG, SIGQUIT);
  ::execv(arguments[0], arguments.data());
  ::_exit(98);
}

std::string content(const std::string& file) {
  std::ostringstream out;
  out << std::ifstream(file).rdbuf();
  return out.str();
}

}  // namespace

sql_session::sql_session(const std::string& folder, std::uint16_t port, const std::string& database)
    : raw_(nullptr, &PQfinish) {
  const auto number = std::to_string(port);
  const char* names[] = {"host", "port", "dbname", "user", nullptr};
  const char* values[] = {folder.c_str(), number.c_str(), database.c_str(), superuser, nullptr};
  raw_.reset(PQconnectdbParams(names, values, 0));
}

std::string sql_session::sql(const std::string& text) {
  const std::unique_ptr<PGresult, decltype(&PQclear)> r(PQexec(raw_.get(), text.c_str()), &PQclear);
  const auto kind = PQresultStatus(r.get());
  EXPECT_TRUE(kind == PGRES_COMMAND_OK || kind == PGRES_TUPLES_OK)
      << PQerrorMessage(raw_.get()) << " in " << text;
  return PQntuples(r.get()) == 0 || PQnfields(r.get()) == 0 ? "" : PQgetvalue(r.get(), 0, 0);
}

bool comes_true(const std::function<bool()>& met) {
  for (int i = 0; i < 2000; ++i) {
    if (met()) return true;
    ::poll(nullptr, 0, 10);
  }
  return met();
}

postgres_server& postgres_server::instance() {
  static postgres_server only;
  return only;
}

postgres_server::postgres_server() {
  initialise();
  make_certificate();
  start();
}

void postgres_server::initialise() {
  std::filesystem::permissions(folder_.path(), std::filesystem::perms(0711));
  std::filesystem::create_directory(data());
  if (const auto* user = other_user())
    if (::chown(data().c_str(), user->pw_uid, user->pw_gid) != 0) give_up("chown failed");
  const auto log = folder_ / "initdb.log";
  const auto child = start_program({programs() / "initdb", "-D", data(), "-U", superuser, "-A", "trust", "-E",
                                    "UTF8", "--locale=C", "--no-sync", "--no-instructions"},
                                   log);
  int outcome = 0;
  ::waitpid(child, &outcome, 0);
  if (outcome != 0) give_up("initdb failed: " + content(log));
  std::ofstream(data() + "/pg_hba.conf", std::ios::trunc)
      << "local all all trust\n"
         "host all with_password 127.0.0.1/32 scram-sha-256\n"
         "host all all 127.0.0.1/32 trust\n";
}

/// Of a CA that `ca.pem` names, for localhost.
void postgres_server::make_certificate() {
  crypto::certificate_request asked;
  asked.common_name = "localhost";
  asked.dns = {"localhost"};
  asked.usage = crypto::certificate_usage::server;
  asked.not_before = now_wall() - std::chrono::hours(1);
  asked.not_after = now_wall() + std::chrono::hours(24);
  const auto ca = crypto::make_ca("tests", 1).value();
  const auto own = crypto::issue(ca, asked).value();
  std::ofstream(folder_ / "ca.pem") << ca.certificate_pem;
  std::ofstream(folder_ / "other.pem") << crypto::make_ca("others", 1).value().certificate_pem;
  std::ofstream(data() + "/server.crt") << own.certificate_pem;
  const auto key = data() + "/server.key";
  std::ofstream(key) << as_text(own.key_pem.expose());
  std::filesystem::permissions(key, std::filesystem::perms(0600));
  if (const auto* user = other_user())
    if (::chown(key.c_str(), user->pw_uid, user->pw_gid) != 0) give_up("chown failed");
}

void postgres_server::start() {
  port_ = free_port(SOCK_STREAM);
  const auto log = folder_ / "server.log";
  process_ = start_program({programs() / "postgres", "-D", data(), "-c", "listen_addresses=127.0.0.1", "-c",
                            "port=" + std::to_string(port_), "-c", "unix_socket_directories=" + data(), "-c",
                            "fsync=off", "-c", "ssl=on", "-c", "shared_buffers=32MB", "-c",
                            "max_connections=60", "-c", "deadlock_timeout=100ms"},
                           log);
  const auto accepts = [this] { return session("postgres").connected(); };
  if (!comes_true(accepts)) give_up("the server does not start: " + content(log));
}

postgres_server::~postgres_server() {
  ::kill(process_, SIGQUIT);
  ::waitpid(process_, nullptr, 0);
}

storage::postgres_settings postgres_server::fresh_database() {
  storage::postgres_settings out;
  out.hosts = {{data(), port_}};
  out.database = "test_" + std::to_string(++databases_);
  out.user = superuser;
  sql("postgres", "CREATE DATABASE " + out.database);
  return out;
}

storage::postgres_settings postgres_server::fresh_store() {
  auto out = fresh_database();
  const auto made = storage::migrate_postgres_schema(out, std::nullopt);
  EXPECT_TRUE(made) << made.error().message();
  // The connection that made the tables ends a moment later, and tests count or stop all that there are.
  EXPECT_TRUE(comes_true([&] { return backends(out.database).empty(); }));
  return out;
}

std::string postgres_server::sql(const std::string& database, const std::string& text) const {
  return session(database).sql(text);
}

std::vector<pid_t> postgres_server::backends(const std::string& database) const {
  std::istringstream all(sql(
      database, "SELECT coalesce(string_agg(pid::text, ' '), '') FROM pg_stat_activity WHERE datname = '" +
                    database + "' AND application_name = 'cpns'"));
  std::vector<pid_t> out;
  for (pid_t p = 0; all >> p;) out.push_back(p);
  return out;
}

bool postgres_server::waits_for(const std::string& database, const std::string& event,
                                int connections) const {
  return sql(database, "SELECT count(*) >= " + std::to_string(connections) +
                           " FROM pg_stat_activity WHERE datname = '" + database +
                           "' AND application_name = 'cpns' AND wait_event = '" + event + "'") == "t";
}

void postgres_server::wait_for_standby(bool on) const {
  sql("postgres", on ? "ALTER SYSTEM SET synchronous_standby_names = 'nobody'"
                     : "ALTER SYSTEM RESET synchronous_standby_names");
  sql("postgres", "SELECT pg_reload_conf()");
  const std::string wanted = on ? "nobody" : "";
  if (!comes_true([&] { return sql("postgres", "SHOW synchronous_standby_names") == wanted; }))
    ADD_FAILURE() << "the server does not read its settings again";
  // Commits go by what the checkpointer has read, and it may be the last one to do so.
  if (on && !comes_true([&] { return commit_waits(); })) ADD_FAILURE() << "commits do not wait for a standby";
}

bool postgres_server::commit_waits() const {
  const auto commit = std::async(
      std::launch::async, [this] { sql("postgres", "SELECT pg_logical_emit_message(true, 'cpns', '')"); });
  while (commit.wait_for(milliseconds{5}) == std::future_status::timeout)
    if (sql("postgres",
            "SELECT count(pg_cancel_backend(pid)) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND "
            "datname = 'postgres'") == "t")
      return true;
  return false;
}

}  // namespace cpns::test
