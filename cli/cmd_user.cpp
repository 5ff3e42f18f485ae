#include <boost/json.hpp>
#include <iostream>

#include "api/routes.hpp"
#include "audit/server_states.hpp"
#include "cli/commands.hpp"
#include "cli/secret_json.hpp"
#include "cli/server_access.hpp"

namespace cpns::cli {
namespace {

struct user_options {
  role_options role{.config = server_file};
  std::string user, prefix;
  password_source password;
  std::string password_file;
  list_page page;
  bool json = false;
};

/// POST /v1/users or PUT /v1/users/{user}/password, with a body that is wiped.
done_or<int> send_password(server_access& server, const user_options& o, const secret_bytes& password,
                           bool add) {
  secret_json body;
  if (add) body.add("user", o.user);
  body.add("password", password);
  CPNS_CHECK(add ? server.ask(api::verb::post, "/v1/users", body.take())
                 : server.ask(api::verb::put, "/v1/users/" + api::encode_percent(o.user) + "/password",
                              body.take()));
  return exit_done;
}

result<secret_bytes> new_password(user_options& o) {
  if (const auto user = user_id::parse(o.user); !user) return fail(errc::config_usage, user.error().detail);
  o.password.file = o.password_file;
  return read_new_password(o.password);
}

protocol::user_record record_of(const user_options& o, const secret_bytes& password) {
  return make_user(crypto::openssl_suite(), crypto::system_entropy(), user_id::parse(o.user).value(),
                   password, now_wall());
}

status add_to_store(server_access& server, const user_options& o, const secret_bytes& password) {
  const auto record = record_of(o, password);
  CPNS_TRY(auto before, audit::user_state(server.store(), o.user));
  const auto change = change_by_command(audit::user_add, o.user, std::move(before), audit::state_of(record));
  return with_audit(server.trail(), change, [&] { return add_user(server.store(), record); });
}

status change_in_store(server_access& server, const user_options& o, const secret_bytes& password) {
  const auto record = record_of(o, password);
  CPNS_TRY(auto before, audit::user_state(server.store(), o.user));
  auto after = audit::state_of(record);
  if (const auto* was = before.if_object()) after.as_object()["created"] = was->at("created");
  const auto change = change_by_command(audit::user_password, o.user, std::move(before), std::move(after));
  return with_audit(server.trail(), change, [&] { return change_user(server.store(), record); });
}

done_or<int> run_add(user_options& o) {
  CPNS_TRY(const auto password, new_password(o));
  CPNS_TRY(auto server, server_access::open(o.role, true));
  if (server.running()) {
    CPNS_CHECK(send_password(server, o, password, true));
  } else {
    CPNS_CHECK(add_to_store(server, o, password));
  }
  print_done(o.json, "Added the user " + o.user + ".");
  return exit_done;
}

done_or<int> run_passwd(user_options& o) {
  CPNS_TRY(const auto password, new_password(o));
  CPNS_TRY(auto server, server_access::open(o.role, true));
  if (server.running()) {
    CPNS_CHECK(send_password(server, o, password, false));
  } else {
    CPNS_CHECK(change_in_store(server, o, password));
  }
  print_done(o.json,
             "Changed the password of " + o.user + ". Give its gateways the new one in user_password_file.");
  return exit_done;
}

status remove_from_store(server_access& server, const user_id& user) {
  CPNS_TRY(auto before, audit::user_state(server.store(), user.text()));
  const auto change = change_by_command(audit::user_remove, user.text(), std::move(before), nullptr);
  return with_audit(server.trail(), change, [&] { return remove_user(server.store(), user); });
}

done_or<int> run_remove(user_options& o) {
  const auto user = user_id::parse(o.user);
  if (!user) return fail(errc::config_usage, user.error().detail);
  CPNS_TRY(auto server, server_access::open(o.role, true));
  if (server.running()) {
    CPNS_CHECK(server.ask(api::verb::del, "/v1/users/" + api::encode_percent(o.user)));
  } else {
    CPNS_CHECK(remove_from_store(server, *user));
  }
  print_done(o.json, "Removed the user " + o.user + ". It remains the owner of its devices.");
  return exit_done;
}

done_or<int> run_list(user_options& o) {
  CPNS_TRY(auto server, server_access::open(o.role, false));
  CPNS_TRY(auto users, server.list(
                           "/v1/users", "&prefix=" + api::encode_percent(o.prefix), "users", "user",
                           [&o](const auto& store, const auto& asked) {
                             return server::users_page(store, asked, {.prefix = o.prefix});
                           },
                           &o.page));
  if (o.json) {
    print_rows("users", std::move(users), o.page);
    return exit_done;
  }
  table out{{"USER", "ADDED"}};
  for (const auto& u : users)
    out.add({member_text(u.as_object(), "user"), member_time(u.as_object(), "created", "-")});
  out.print();
  print_next(o.page);
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
  auto* user = app.add_subcommand("user", "Manage the users of a server, running or stopped");
  user->require_subcommand(1);
  user->footer("Examples:\n  cpns user add alice@example.org --config trial/server.yaml\n  cpns user list "
               "--config trial/server.yaml");
  const auto o = std::make_shared<user_options>();

  auto* add = server_command(*user, o, code, "add", "Add a user; prompts for the password", run_add);
  add_user_argument(add, o);
  add_password_options(add, o);
  add->footer("Examples:\n  cpns user add alice@example.org --config trial/server.yaml\n"
              "  pwgen 20 1 | cpns user add bob@example.org --stdin\n" +
              url_example("user add bob@example.org --password-file password") + "\n" +
              "The password itself is never an argument: every user of the machine can read command lines.");

  auto* passwd = server_command(*user, o, code, "passwd", "Change a user's password", run_passwd);
  add_user_argument(passwd, o);
  add_password_options(passwd, o);
  passwd->footer("Examples:\n  cpns user passwd alice@example.org --password-file new-password\n" +
                 url_example("user passwd alice@example.org --password-file new-password"));

  auto* list = server_command(*user, o, code, "list", "List the users and when they were added", run_list);
  list->add_option("--prefix", o->prefix, "Only User IDs that begin with this text");
  add_page_options(*list, o->page);
  list->footer("Examples:\n  cpns user list --config trial/server.yaml\n"
               "  cpns user list --limit 1000 --config trial/server.yaml\n" +
               url_example("user list"));

  auto* remove =
      server_command(*user, o, code, "remove", "Remove a user; its gateways get no more keys", run_remove);
  add_user_argument(remove, o);
  remove->footer("Examples:\n  cpns user remove alice@example.org\n" +
                 url_example("user remove alice@example.org"));
}

}  // namespace cpns::cli
