#include <boost/json.hpp>
#include <iostream>

#include "audit/server_states.hpp"
#include "base/text.hpp"
#include "cli/audited.hpp"
#include "cli/commands.hpp"
#include "cli/stores.hpp"

namespace cpns::cli {
namespace {

struct user_options {
  std::string config = "server.yaml";
  std::string user;
  password_source password;
  std::string password_file;
};

/// The record of the user with a new password. Call it before opening the store, which is locked while it is open.
result<protocol::user_record> with_new_password(user_options& o) {
  auto user = user_id::parse(o.user);
  if (!user) return fail(errc::config_usage, user.error().detail);
  o.password.file = o.password_file;
  CPNS_TRY(const auto password, read_new_password(o.password));
  return make_user(crypto::openssl_suite(), crypto::system_entropy(), *user, password, now_wall());
}

result<int> run_add(user_options& o) {
  CPNS_TRY(const auto record, with_new_password(o));
  CPNS_TRY(auto opened, open_audited_server(o.config));
  auto& store = opened.store.sealed();
  CPNS_TRY(auto before, audit::user_state(store, o.user));
  const auto change = change_by_command(audit::user_add, o.user, std::move(before), audit::state_of(record));
  CPNS_CHECK(with_audit(*opened.trail, change, [&] { return add_user(store, record); }));
  std::cout << "Added the user " << o.user << ".\n";
  return exit_done;
}

result<int> run_passwd(user_options& o) {
  CPNS_TRY(const auto record, with_new_password(o));
  CPNS_TRY(auto opened, open_audited_server(o.config));
  auto& store = opened.store.sealed();
  CPNS_TRY(auto before, audit::user_state(store, o.user));
  auto after = audit::state_of(record);
  if (const auto* was = before.if_object()) after.as_object()["created"] = was->at("created");
  const auto change = change_by_command(audit::user_password, o.user, std::move(before), std::move(after));
  CPNS_CHECK(with_audit(*opened.trail, change, [&] { return change_user(store, record); }));
  std::cout << "Changed the password of " << o.user
            << ". Give its gateways the new one in user_password_file.\n";
  return exit_done;
}

result<int> run_remove(user_options& o) {
  auto user = user_id::parse(o.user);
  if (!user) return fail(errc::config_usage, user.error().detail);
  CPNS_TRY(auto opened, open_audited_server(o.config));
  auto& store = opened.store.sealed();
  CPNS_TRY(auto before, audit::user_state(store, o.user));
  const auto change = change_by_command(audit::user_remove, o.user, std::move(before), nullptr);
  CPNS_CHECK(with_audit(*opened.trail, change, [&] { return remove_user(store, *user); }));
  std::cout << "Removed the user " << o.user << ". It remains the owner of its devices.\n";
  return exit_done;
}

result<int> run_list(user_options& o) {
  CPNS_TRY(auto opened, open_server_store(o.config));
  CPNS_TRY(const auto users, list_users(opened.sealed()));
  for (const auto& u : users) std::cout << u.user.text() << "\t" << utc_text(u.created) << "\n";
  return exit_done;
}

void add_user_argument(CLI::App* c, const std::shared_ptr<user_options>& o) {
  c->add_option("USER", o->user,
                "The CPNS User ID: 1 to 64 printable characters, for example an e-mail address")
      ->required();
}

void add_password_options(CLI::App* c, const std::shared_ptr<user_options>& o) {
  auto* file = c->add_option("--password-file", o->password_file,
                             "Read the password from the first line of a file of mode 0600");
  auto* in = c->add_flag("--stdin", o->password.standard_input,
                         "Read the password from the first line of standard input");
  file->excludes(in);
}

}  // namespace

void add_user(CLI::App& app, int& code) {
  auto* user = app.add_subcommand("user", "Manage the users in a server's store while the server is stopped");
  user->require_subcommand(1);
  const auto o = std::make_shared<user_options>();

  auto* add = store_command(*user, o, code, "add", "Add a user; prompts for the password", run_add);
  add_user_argument(add, o);
  add_password_options(add, o);
  add->footer("Examples:\n  cpns user add alice@example.org --config trial/server.yaml\n"
              "  pwgen 20 1 | cpns user add bob@example.org --stdin\n"
              "The password itself is never an argument: every user of the machine can read command lines.");

  auto* passwd = store_command(*user, o, code, "passwd", "Change a user's password", run_passwd);
  add_user_argument(passwd, o);
  add_password_options(passwd, o);
  passwd->footer("Example:\n  cpns user passwd alice@example.org --password-file new-password");

  auto* list = store_command(*user, o, code, "list", "List the users and when they were added", run_list);
  list->footer("Example:\n  cpns user list --config trial/server.yaml");

  auto* remove =
      store_command(*user, o, code, "remove", "Remove a user; its gateways get no more keys", run_remove);
  add_user_argument(remove, o);
  remove->footer("Example:\n  cpns user remove alice@example.org");
}

}  // namespace cpns::cli
