#include "cli/trial_folder.hpp"

#include <algorithm>

#include "base/private_file.hpp"
#include "cli/daemon.hpp"
#include "cli/stores.hpp"
#include "cli/terminal.hpp"
#include "config/loader.hpp"
#include "crypto/scram.hpp"
#include "server/device_rows.hpp"
#include "temp_folder.hpp"

namespace cpns::cli {
namespace {

namespace fs = std::filesystem;

class trial_folder : public test::temp_folder {};

std::string why(const config::diagnostics& p) { return p.as_error().detail; }

TEST_F(trial_folder, has_configurations_that_load_and_files_that_are_private) {
  const auto made = make_trial_folder({.folder = folder / "trial"});
  ASSERT_TRUE(made) << made.error().message();
  const auto server = config::load_server(made->server_yaml);
  ASSERT_TRUE(server) << why(server.error());
  const auto gateway = config::load_gateway(made->gateway_yaml);
  ASSERT_TRUE(gateway) << why(gateway.error());
  const auto pne = config::load_pne(made->pne_yaml);
  ASSERT_TRUE(pne) << why(pne.error());
  EXPECT_EQ(gateway->servers.at(0), server->listen);
  EXPECT_EQ(gateway->server_uri, "urn:cpns:server:main");
  EXPECT_EQ(pne->devices_file, made->devices_csv);

  EXPECT_EQ(mode(folder / "trial"), 0700U);
  for (const auto& file :
       {server->tls.key, gateway->tls->key, server->protector.file, gateway->protector.file,
        pne->protector.file, made->password_file, made->devices_csv, folder / "trial/tls/ca.key"})
    EXPECT_EQ(mode(file), 0600U) << file;
  for (const auto& file :
       {server->tls.certificate, server->tls.ca, gateway->tls->certificate, gateway->tls->ca})
    EXPECT_TRUE(read(file).starts_with("-----BEGIN CERTIFICATE-----")) << file;
}

TEST_F(trial_folder, has_application_keys_for_the_two_users_if_it_is_asked_for_them) {
  trial_options o{.folder = folder / "plain"};
  const auto plain = make_trial_folder(o);
  ASSERT_TRUE(plain) << plain.error().message();
  EXPECT_FALSE(config::load_gateway(plain->gateway_yaml)->application_keys);
  EXPECT_FALSE(config::load_pne(plain->pne_yaml)->application_keys);

  o.folder = folder / "trial";
  o.key_sockets = trial_key_sockets{folder / "gateway's keys", folder / "pne keys", "broker", "sensor"};
  const auto made = make_trial_folder(o);
  ASSERT_TRUE(made) << made.error().message();
  const auto gateway = config::load_gateway(made->gateway_yaml);
  const auto pne = config::load_pne(made->pne_yaml);
  ASSERT_TRUE(gateway && gateway->application_keys && pne && pne->application_keys);
  EXPECT_EQ(gateway->application_keys->socket, folder / "gateway's keys");
  EXPECT_EQ(pne->application_keys->socket, folder / "pne keys");
  EXPECT_EQ(gateway->application_keys->purposes.at("mqtt").allow.users, std::vector<std::string>{"broker"});
  EXPECT_EQ(pne->application_keys->purposes.at("mqtt").allow.users, std::vector<std::string>{"sensor"});
}

TEST_F(trial_folder, has_a_server_store_with_the_user_and_the_devices_of_the_pnes) {
  const auto made = make_trial_folder({.folder = folder / "trial", .devices = 5, .user = "bob"});
  ASSERT_TRUE(made) << made.error().message();
  const auto server = config::load_server(made->server_yaml);
  ASSERT_TRUE(server) << why(server.error());
  auto opened = open_server_store(*server);
  ASSERT_TRUE(opened) << opened.error().message();
  const auto& s = crypto::openssl_suite();

  const auto users = list_users(opened->sealed()).value();
  ASSERT_EQ(users.size(), 1U);
  EXPECT_EQ(users[0].user.text(), "bob");
  const auto password = read_secret_line(made->password_file, password_max).value();
  EXPECT_EQ(crypto::scram_stored_key(
                s, crypto::scram_client_key(s, password.expose(), users[0].salt, users[0].iterations)),
            users[0].stored_key);

  const auto rows = server::load_device_rows(made->devices_csv);
  ASSERT_TRUE(rows);
  ASSERT_EQ(rows->good.size(), 5U);
  for (const auto& row : rows->good) {
    const auto known = find_device(opened->sealed(), row.entity).value();
    ASSERT_TRUE(known) << row.entity.text();
    EXPECT_EQ(known->temporary_key, server::kept_key(s, row));
    EXPECT_TRUE(known->require_presence);
  }
  EXPECT_EQ(list_devices(opened->sealed()).value().size(), 5U);
}

TEST_F(trial_folder, has_an_empty_folder_for_the_new_keys_of_each_role) {
  const auto made = make_trial_folder({.folder = folder / "trial"});
  ASSERT_TRUE(made) << made.error().message();
  const auto check = [this](const auto& loaded, const std::string& role) {
    ASSERT_TRUE(loaded) << why(loaded.error());
    const auto place = folder / "trial/keys" / role;
    EXPECT_EQ(loaded->protector.new_keys, place);
    EXPECT_TRUE(fs::is_empty(place));
    EXPECT_EQ(fs::status(place).permissions(), fs::perms::owner_all);
  };
  check(config::load_server(made->server_yaml), "server");
  check(config::load_gateway(made->gateway_yaml), "gateway");
  check(config::load_pne(made->pne_yaml), "pne");
}

TEST_F(trial_folder, is_never_the_same_twice) {
  const auto a = make_trial_folder({.folder = folder / "a"});
  const auto b = make_trial_folder({.folder = folder / "b"});
  ASSERT_TRUE(a && b);
  EXPECT_NE(read(a->password_file), read(b->password_file));
  EXPECT_NE(read(a->devices_csv), read(b->devices_csv));
  EXPECT_NE(read(folder / "a/server.kek"), read(folder / "b/server.kek"));
}

TEST_F(trial_folder, accepts_an_empty_folder_and_refuses_another) {
  fs::create_directory(folder / "empty");
  EXPECT_TRUE(make_trial_folder({.folder = folder / "empty"}));
  const auto again = make_trial_folder({.folder = folder / "empty"});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, errc::config_usage);
  EXPECT_TRUE(fs::exists(folder / "empty/server.yaml")) << "its content stays";
  const auto file = write("file", "x");
  EXPECT_EQ(make_trial_folder({.folder = file}).error().code, errc::config_usage);
  EXPECT_EQ(make_trial_folder({.folder = file / "sub"}).error().code, errc::config_file);
}

TEST_F(trial_folder, leaves_nothing_behind_when_it_cannot_be_finished) {
  EXPECT_FALSE(make_trial_folder({.folder = folder / "bad-user", .user = "a b"}));
  EXPECT_FALSE(fs::exists(folder / "bad-user"));
  const auto deep = folder / std::string(120, 'd');
  const auto too_long = make_trial_folder({.folder = deep});
  ASSERT_FALSE(too_long) << "the Unix socket's path is too long";
  EXPECT_NE(too_long.error().detail.find("api.socket"), std::string::npos);
  EXPECT_FALSE(fs::exists(deep));
  fs::create_directory(folder / "there");
  EXPECT_FALSE(make_trial_folder({.folder = folder / "there", .server_name = std::string(65, 'x')}));
  EXPECT_TRUE(fs::is_empty(folder / "there"));
}

TEST_F(trial_folder, keeps_names_and_parameters_with_any_characters) {
  const auto made = make_trial_folder({.folder = folder / "it's ${HOME}",
                                       .plugin = "loopback",
                                       .gateway_params = {{"network", "it's: ${X} # {a}"}},
                                       .pne_params = {{"network", "\"y\""}},
                                       .plugin_dirs = {folder / "p q"},
                                       .rekey = seconds(5),
                                       .json_logs = true,
                                       .ready_files = true});
  ASSERT_TRUE(made) << made.error().message();
  const auto gateway = config::load_gateway(made->gateway_yaml);
  ASSERT_TRUE(gateway) << why(gateway.error());
  EXPECT_EQ(gateway->transports.at(0).plugin, "loopback");
  EXPECT_EQ(gateway->transports.at(0).params.at("network"), "it's: ${X} # {a}");
  EXPECT_EQ(gateway->plugin_dirs.at(0), folder / "p q");
  EXPECT_EQ(gateway->ready_file, folder / "it's ${HOME}/state/gateway.ready");
  EXPECT_EQ(config::load_pne(made->pne_yaml)->transports.at(0).params.at("network"), "\"y\"");
  const auto server = config::load_server(made->server_yaml);
  EXPECT_EQ(server->keys.rekey, seconds(5));
  EXPECT_EQ(server->log.format, log::format::json);
}

TEST_F(trial_folder, reports_a_server_store_in_use_with_the_remedy) {
  const auto made = make_trial_folder({.folder = folder / "trial"});
  ASSERT_TRUE(made) << made.error().message();
  const auto server = config::load_server(made->server_yaml).value();
  const auto running = open_server_store(server);
  ASSERT_TRUE(running);
  const auto second = open_server_store(server);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, errc::store_locked);
  EXPECT_NE(second.error().detail.find("stop it"), std::string::npos);
}

TEST_F(trial_folder, refuses_to_open_a_memory_store_from_outside) {
  const auto made = make_trial_folder({.folder = folder / "trial", .memory_server = true});
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(open_server_store(config::load_server(made->server_yaml).value()).error().code,
            errc::config_usage);
}

TEST_F(trial_folder, gives_the_gateway_links_for_all_devices) {
  const trial_options few{.folder = folder, .devices = 3996};
  trial_options many{.folder = folder, .devices = 8193, .plugin = "loopback"};
  for (const auto& yaml : {gateway_yaml(few), pne_yaml(few)})
    EXPECT_EQ(yaml.find("links"), std::string::npos) << yaml;
  EXPECT_NE(gateway_yaml(many).find(" links: 16586"), std::string::npos) << "all links are unproven at first";
  many.gateway_params = {{"max_links", "9000"}};
  EXPECT_NE(gateway_yaml(many).find(" links: 9000"), std::string::npos) << "the radio allows no more";
}

TEST_F(trial_folder, gives_the_gateway_no_more_links_than_a_tcp_radio_can_hold) {
  const trial_options o{.folder = folder, .devices = 190'000};
  const auto most = connections_of_process();
  const auto yaml = gateway_yaml(o);
  EXPECT_EQ(yaml.find("max_links"), std::string::npos) << "a radio takes as many as it can hold";
  if (most > config::gateway_limits{}.links)
    EXPECT_NE(yaml.find(" links: " + std::to_string(std::min<std::uint64_t>(most, 380'200)) + "\n"),
              std::string::npos)
        << yaml;
  else
    EXPECT_EQ(yaml.find("limits:"), std::string::npos) << yaml;
}

TEST_F(trial_folder, writes_the_timeout_of_answers_only_if_it_is_not_the_usual_one) {
  EXPECT_EQ(gateway_yaml({.folder = folder}).find("timers"), std::string::npos);
  EXPECT_NE(gateway_yaml({.folder = folder, .answer_timeout = seconds{10}}).find("answer_timeout: 10s"),
            std::string::npos);
}

TEST_F(trial_folder, keeps_a_given_number_of_links) {
  const trial_options o{.folder = folder, .devices = 9000, .pne_params = {{"max_links", "7"}}};
  EXPECT_NE(pne_yaml(o).find("max_links: '7'"), std::string::npos);
  EXPECT_EQ(pne_yaml(o).find("9100"), std::string::npos);
}

}  // namespace
}  // namespace cpns::cli
