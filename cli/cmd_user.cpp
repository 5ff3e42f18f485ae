#include <iostream>

#include "base/text.hpp"
#include "cli/accounts.hpp"
#include "cli/commands.hpp"
#include "cli/password.hpp"
#include "cli/stores.hpp"

namespace cpns::cli {
namespace {

struct user_options {
  std::string config = "server.yaml";
  std::string user;
  password_source password;
  std::string password_file;
};

/// The record of the user with a new password. The store is opened afterwards, so that nobody waits for a
/// prompt.
result<protocol::user_record> with_new_password(user_options& o) {
  auto user = user_id::parse(o.user);
  if (!user) return fail(errc::config_usage, user.error().detail);
  o.password.file = o.password_file;
  CPNS_TRY(const auto password, read_new_password(o.password));
  return make_user(crypto::openssl_suite(), crypto::system_entropy(), *user, password, now_wall());
}

status run_add(user_options& o) {
  CPNS_TRY(const auto record, with_new_password(o));
  CPNS_TRY(auto opened, open_server_store(o.config));
  CPNS_CHECK(add_user(opened.sealed(), record));
  std::cout << "Added the user " << o.user << ".\n";
  return {};
}

status run_passwd(user_options& o) {
  CPNS_TRY(const auto record, with_new_password(o));
  CPNS_TRY(auto opened, open_server_store(o.config));
  CPNS_CHECK(change_user(opened.sealed(), record));
  std::cout << "Changed the password of " << o.user
            << ". Its gateways need the new one: see user_password_file.\n";
  return {};
}

status run_remove(user_options& o) {
  auto user = user_id::parse(o.user);
  if (!user) return fail(errc::config_usage, user.error().detail);
  CPNS_TRY(auto opened, open_server_store(o.config));
  CPNS_CHECK(remove_user(opened.sealed(), *user));
  std::cout << "Removed the user " << o.user << ". Devices that it owns stay its own.\n";
  return {};
}

status run_list(user_options& o) {
  CPNS_TRY(auto opened, open_server_store(o.config));
  CPNS_TRY(const auto users, list_users(opened.sealed()));
  for (const auto& u : users) std::cout << u.user.text() << "\t" << utc_text(u.created) << "\n";
  return {};
}

CLI::App* command(CLI::App& parent, const std::shared_ptr<user_options>& o, int& code, const char* name,
                  const char* what, status (*run)(user_options&)) {
  auto* c = parent.add_subcommand(name, what);
  c->add_option("--config", o->config, "The server's configuration, which names the store")
      ->capture_default_str();
  c->callback([o, run, &code] {
    const auto done = run(*o);
    code = done ? exit_done : report(done.error());
  });
  return c;
}

void takes_user(CLI::App* c, const std::shared_ptr<user_options>& o) {
  c->add_option("USER", o->user,
                "The CPNS User ID: 1 to 64 printable characters, for example an e-mail address")
      ->required();
}

void takes_password(CLI::App* c, const std::shared_ptr<user_options>& o) {
  auto* file = c->add_option("--password-file", o->password_file,
                             "Take the password from the first line of a file of mode 0600");
  auto* in = c->add_flag("--stdin", o->password.standard_input,
                         "Take the password from the first line of standard input");
  file->excludes(in);
}

}  // namespace

void add_user(CLI::App& app, int& code) {
  auto* user = app.add_subcommand("user", "The users in a server's store, while the server is stopped");
  user->require_subcommand(1);
  const auto o = std::make_shared<user_options>();

  auto* add = command(*user, o, code, "add", "Add a user; asks for the password", run_add);
  takes_user(add, o);
  takes_password(add, o);
  add->footer("Examples:\n  cpns user add alice@example.org --config trial/server.yaml\n"
              "  pwgen 20 1 | cpns user add bob@example.org --stdin\n"
              "A password is never taken from the command line, which every user of the machine can read.");

  auto* passwd = command(*user, o, code, "passwd", "Change a user's password", run_passwd);
  takes_user(passwd, o);
  takes_password(passwd, o);
  passwd->footer("Example:\n  cpns user passwd alice@example.org --password-file new-password");

  auto* list = command(*user, o, code, "list", "List the users and when they were added", run_list);
  list->footer("Example:\n  cpns user list --config trial/server.yaml");

  auto* remove =
      command(*user, o, code, "remove", "Remove a user; its gateways get no more keys", run_remove);
  takes_user(remove, o);
  remove->footer("Example:\n  cpns user remove alice@example.org");
}

}  // namespace cpns::cli
