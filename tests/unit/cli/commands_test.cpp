// The commands as they are typed: output and exit codes.

#include <algorithm>
#include <boost/json.hpp>

#include "cli/commands.hpp"

#include <fcntl.h>

#include "temp_folder.hpp"
#include "typed_command.hpp"

namespace cpns::cli {
namespace {

class commands : public test::temp_folder {
 protected:
  test::typed_outcome run(std::vector<std::string> args) {
    return test::type_command(std::move(args), [](CLI::App& app, int& code) {
      for (const auto add : {add_init, add_ca, add_user, add_device, add_gateways, add_status})
        add(app, code);
      add_config(app, code,
                 [](const auto&, const auto&, config::role_kind) { return config::diagnostics{}; });
    });
  }
  std::string trial() {
    const auto dir = (folder / "trial").string();
    EXPECT_EQ(run({"init", dir}).code, 0);
    return dir + "/server.yaml";
  }
};

TEST_F(commands, init_prints_the_next_steps) {
  const auto o = run({"init", (folder / "t").string(), "--devices", "2", "--listen", "127.0.0.1:9443"});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_NE(o.out.find("cpns server  --config " + (folder / "t/server.yaml").string()), std::string::npos)
      << o.out;
  EXPECT_EQ(run({"init", (folder / "t").string()}).code, 2);
  EXPECT_EQ(run({"init", (folder / "u").string(), "--listen", "nowhere"}).code, 2);
  EXPECT_EQ(run({"init"}).code, 2);
  EXPECT_EQ(
      run({"config", "check", (folder / "t/server.yaml").string(), (folder / "t/gateway.yaml").string()})
          .code,
      0);
}

TEST_F(commands, ca_issue_prints_the_files_the_uri_and_the_end) {
  trial();
  const auto tls = (folder / "trial/tls").string();
  const auto o = run({"ca", "issue", "gateway", "hall", "--ca", tls, "--days", "10"});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_TRUE(o.out.starts_with("certificate       " + tls + "/hall.pem\nkey               " + tls +
                                "/hall.key\nuri               urn:cpns:gw:hall\nvalid until       20"))
      << o.out;

  const auto again = run({"ca", "issue", "gateway", "hall", "--ca", tls});
  EXPECT_EQ(again.code, 1);
  EXPECT_EQ(again.err, "cpns: already exists: " + tls +
                           "/hall.key; choose another name or --out, or replace it with --replace\n");
  const auto json = run({"ca", "issue", "server", "hall", "--ca", tls, "--replace", "--json", "--dns", "a",
                         "--dns", "b", "--ip", "::2"});
  EXPECT_EQ(json.code, 0) << json.err;
  EXPECT_NE(json.out.find("\"uri\":\"urn:cpns:server:hall\""), std::string::npos) << json.out;
  EXPECT_NE(json.out.find("\"key\":\"" + tls + "/hall.key\""), std::string::npos) << json.out;
  EXPECT_EQ(run({"ca", "issue", "admin", "a.b-c_1", "--ca", tls}).code, 0);

  EXPECT_EQ(run({"ca", "issue", "phone", "x", "--ca", tls}).code, 2);
  EXPECT_EQ(run({"ca", "issue", "gateway", "--ca", tls}).code, 2);
  EXPECT_EQ(run({"ca", "issue", "gateway", "a b", "--ca", tls}).code, 2);
  EXPECT_EQ(run({"ca", "issue", "gateway", "x", "--ca", tls, "--days", "0"}).code, 2);
  EXPECT_EQ(run({"ca", "issue", "gateway", "x", "--ca", tls, "--days", "3651"}).code, 2);
  EXPECT_EQ(run({"ca", "issue", "gateway", "x", "--ca", tls, "--days", "3650"}).code, 2) << "beyond the CA";
  EXPECT_EQ(run({"ca", "issue", "gateway", "x", "--ca", folder.string()}).code, 1);
}

TEST_F(commands, config_check_warns_of_a_certificate_that_ends_soon) {
  trial();
  const auto tls = (folder / "trial/tls").string();
  const auto yaml = (folder / "trial/gateway.yaml").string();
  EXPECT_EQ(run({"config", "check", yaml}).err, "");
  EXPECT_EQ(run({"ca", "issue", "gateway", "gateway", "--ca", tls, "--replace", "--days", "20"}).code, 0);
  const auto o = run({"config", "check", yaml});
  EXPECT_EQ(o.code, 0) << "a warning is not an error";
  EXPECT_NE(o.out.find(": ok, a gateway"), std::string::npos) << o.out;
  EXPECT_TRUE(o.err.starts_with(yaml + ":13:16: warning: 'tls.certificate': certificate file " + tls +
                                "/gateway.pem ends on "))
      << o.err;
  EXPECT_NE(o.err.find(", in 19 days; issue a new one\n"), std::string::npos) << o.err;
  EXPECT_EQ(run({"config", "check", (folder / "trial/server.yaml").string()}).err, "");
}

TEST_F(commands, user_commands_add_change_list_and_remove) {
  const auto yaml = trial();
  const auto pass = write("pass", "correct horse\n").string();
  EXPECT_EQ(run({"user", "add", "bob", "--config", yaml, "--password-file", pass}).code, 0);
  const auto twice = run({"user", "add", "bob", "--config", yaml, "--password-file", pass});
  EXPECT_EQ(twice.code, 1);
  EXPECT_NE(twice.err.find("bob"), std::string::npos);
  EXPECT_EQ(run({"user", "passwd", "bob", "--config", yaml, "--password-file", pass}).code, 0);
  const auto list = run({"user", "list", "--config", yaml});
  EXPECT_EQ(list.code, 0);
  EXPECT_TRUE(list.out.starts_with("alice@example.org\t")) << list.out;
  EXPECT_NE(list.out.find("\nbob\t"), std::string::npos) << list.out;
  EXPECT_EQ(run({"user", "remove", "bob", "--config", yaml}).code, 0);
  EXPECT_EQ(run({"user", "remove", "bob", "--config", yaml}).code, 1);
  EXPECT_EQ(run({"user", "add", "b b", "--config", yaml, "--password-file", pass}).code, 2);
  EXPECT_EQ(run({"user", "add", "bob", "--password", "secret"}).code, 2)
      << "a password is never read from the command line";
  EXPECT_EQ(run({"user", "add", "bob", "--stdin", "--password-file", pass}).code, 2);
}

TEST_F(commands, user_add_reads_the_password_from_standard_input) {
  const auto yaml = trial();
  const auto pass = write("pass", "correct horse\nnot this\n");
  const int before = ::dup(STDIN_FILENO);
  const int in = ::open(pass.c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(in, 0);
  ::dup2(in, STDIN_FILENO);
  const auto o = run({"user", "add", "bob", "--config", yaml, "--stdin"});
  ::dup2(before, STDIN_FILENO);
  ::close(before);
  ::close(in);
  EXPECT_EQ(o.code, 0) << o.err;
}

TEST_F(commands, device_import_reports_each_row) {
  const auto yaml = trial();
  const std::string tk = "8f14e45fceea167a5a36dedd4bea2543";
  const auto file =
      write("d.csv", "entity_id,temporary_key,strength\nurn:dev:mac:0024befffe804ff1," + tk +
                         ",128bit\nheadset," + tk +
                         ",128bit\nurn:dev:mac:0024befffe804ff2,hex:" + tk.substr(0, 30) + "44,128bit\n")
          .string();
  const auto refused = run({"device", "import", file, "--config", yaml});
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.err.find(file + ":3: "), std::string::npos) << refused.err;
  EXPECT_NE(refused.err.find("nothing was imported"), std::string::npos) << refused.err;
  EXPECT_EQ(run({"device", "show", "urn:dev:mac:0024befffe804ff1", "--config", yaml}).code, 1);

  const auto partial =
      run({"device", "import", file, "--config", yaml, "--partial", "--no-presence", "--batch", "lot7"});
  EXPECT_EQ(partial.code, 1) << "a row was left out";
  EXPECT_EQ(partial.out, "Imported 2 devices, left out 1.\n");
  const auto show = run({"device", "show", "urn:dev:mac:0024befffe804ff1", "--config", yaml});
  EXPECT_EQ(show.code, 0);
  EXPECT_NE(show.out.find("lot7"), std::string::npos);
  EXPECT_NE(show.out.find("not required"), std::string::npos);
  const auto list = run({"device", "list", "--config", yaml});
  EXPECT_EQ(std::count(list.out.begin(), list.out.end(), '\n'), 5);
  for (const auto& o : {refused, partial, show, list})
    EXPECT_EQ((o.out + o.err).find(tk.substr(0, 8)), std::string::npos);
}

TEST_F(commands, device_import_warns_of_a_file_that_others_can_read) {
  const auto yaml = trial();
  const auto file = write("d.csv", "x\n", 0644).string();
  const auto o = run({"device", "import", file, "--config", yaml});
  EXPECT_EQ(o.code, 1);
  EXPECT_NE(o.err.find("warning: group or others"), std::string::npos);
}

TEST_F(commands, device_add_reads_the_key_from_a_file_and_checks_it_like_a_row) {
  const auto yaml = trial();
  const std::string entity = "urn:dev:mac:0024befffe804ff9";
  const auto good = write("key", "hex:8f14e45fceea167a5a36dedd4bea2543\n").string();
  const auto weak = write("weak", "hex:00000000000000000000000000000000\n").string();
  EXPECT_EQ(run({"device", "add", entity, "--config", yaml}).code, 2) << "a key is never an argument";
  const auto refused = run({"device", "add", entity, "--key-file", weak, "--config", yaml});
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.err.find("constant"), std::string::npos) << refused.err;
  EXPECT_EQ(run({"device", "add", entity, "--key-file", good, "--batch", "one", "--config", yaml}).code, 0);
  EXPECT_EQ(run({"device", "add", entity, "--key-file", good, "--config", yaml}).code, 1) << "it exists";
  const auto shown = run({"device", "show", entity, "--json", "--config", yaml});
  EXPECT_EQ(shown.out, "{\"entity\":\"" + entity +
                           "\",\"strength\":\"128bit\",\"owner\":null,\"presence\":true,\"batch\":\"one\","
                           "\"blocked\":false}\n");
  EXPECT_EQ(run({"device", "remove", entity, "--config", yaml}).code, 0);
  EXPECT_EQ(run({"device", "show", entity, "--config", yaml}).code, 1);
  EXPECT_EQ(run({"device", "remove", entity, "--config", yaml}).code, 1);
}

TEST_F(commands, gateways_are_blocked_in_the_store_of_a_stopped_server) {
  const auto yaml = trial();
  const std::string uri = "urn:cpns:gw:gw1";
  EXPECT_EQ(run({"gateways", "list", "--config", yaml}).out, "");
  EXPECT_EQ(run({"gateways", "unblock", uri, "--config", yaml}).code, 1) << "it is not known";
  const auto blocked = run({"gateways", "block", uri, "--config", yaml});
  EXPECT_EQ(blocked.code, 0) << blocked.err;
  EXPECT_NE(blocked.out.find("can still deliver the keys that it holds"), std::string::npos);
  EXPECT_EQ(run({"gateways", "list", "--blocked", "--config", yaml}).out,
            uri + "\tblocked\t-\t-\tnever\tcertificate\n");
  EXPECT_EQ(run({"gateways", "unblock", uri, "--config", yaml}).code, 0);
  EXPECT_EQ(run({"gateways", "list", "--blocked", "--config", yaml}).out, "");
  EXPECT_EQ(run({"gateways", "show", "hall", "--config", yaml}).code, 2);
  const auto stopped = run({"gateways", "disconnect", uri, "--config", yaml});
  EXPECT_EQ(stopped.code, 1);
  EXPECT_NE(stopped.err.find("the server is stopped"), std::string::npos);
  EXPECT_EQ(run({"status", "--config", yaml}).code, 1);
}

TEST_F(commands, config_check_prints_every_error) {
  const auto file = write("s.yaml", "role: server\nlisen: 1\n").string();
  const auto o = run({"config", "check", file});
  EXPECT_EQ(o.code, 1);
  EXPECT_NE(o.err.find(file + ":2:1: 'lisen' is not a key here; did you mean 'listen'?\n"), std::string::npos)
      << o.err;
  EXPECT_NE(o.err.find("'tls' is missing"), std::string::npos);
  const auto user = run({"user", "list", "--config", file});
  EXPECT_EQ(user.code, 1);
  EXPECT_NE(user.err.find(":2:1: 'lisen'"), std::string::npos) << user.err;
}

TEST_F(commands, config_check_prints_errors_and_warnings_as_json) {
  const auto good = trial();
  const auto tls = (folder / "trial/tls").string();
  const auto bad = write("s.yaml", "role: server\nlisen: 1\n").string();
  EXPECT_EQ(run({"ca", "issue", "server", "server", "--ca", tls, "--replace", "--days", "20"}).code, 0);
  const auto text_of = [](const boost::json::value& v, const char* name) {
    return boost::json::value_to<std::string>(v.at(name));
  };
  const auto o = run({"config", "check", good, bad, (folder / "none.yaml").string(), "--json"});
  EXPECT_EQ(o.code, 1);
  EXPECT_EQ(o.err, "");
  const auto files = boost::json::parse(o.out).as_array();
  ASSERT_EQ(files.size(), 3U);
  EXPECT_EQ(text_of(files[0], "file"), good);
  EXPECT_EQ(text_of(files[0], "role"), "server");
  EXPECT_TRUE(files[0].at("ok").as_bool());
  EXPECT_TRUE(files[0].at("errors").as_array().empty());
  ASSERT_EQ(files[0].at("warnings").as_array().size(), 1U) << o.out;
  EXPECT_FALSE(files[1].at("ok").as_bool());
  EXPECT_TRUE(files[1].at("role").is_null());
  const auto& error = files[1].at("errors").as_array().at(0);
  EXPECT_EQ(text_of(error, "file"), bad);
  EXPECT_EQ(error.at("line").to_number<int>(), 1) << o.out;
  EXPECT_TRUE(files[2].at("errors").as_array().at(0).at("line").is_null()) << o.out;
}

TEST_F(commands, config_schema_prints_one_role_or_the_page) {
  EXPECT_TRUE(run({"config", "schema"}).out.starts_with("{\n  \"$schema\""));
  EXPECT_NE(run({"config", "schema", "pne"}).out.find("devices_file"), std::string::npos);
  EXPECT_TRUE(run({"config", "schema", "--markdown"}).out.starts_with("# Configuration reference"));
  EXPECT_EQ(run({"config", "schema", "phone"}).code, 2);
}

TEST_F(commands, every_help_has_an_example) {
  for (const auto& c : std::vector<std::vector<std::string>>{{"init"},
                                                             {"ca", "issue"},
                                                             {"user", "add"},
                                                             {"user", "list"},
                                                             {"user", "passwd"},
                                                             {"user", "remove"},
                                                             {"device", "import"},
                                                             {"device", "list"},
                                                             {"device", "show"},
                                                             {"device", "add"},
                                                             {"device", "remove"},
                                                             {"gateways", "list"},
                                                             {"gateways", "show"},
                                                             {"gateways", "block"},
                                                             {"gateways", "unblock"},
                                                             {"gateways", "disconnect"},
                                                             {"status"},
                                                             {"config", "check"},
                                                             {"config", "schema"}}) {
    auto args = c;
    args.push_back("--help");
    const auto o = run(args);
    EXPECT_EQ(o.code, 0);
    EXPECT_NE(o.out.find("Example"), std::string::npos) << o.out;
  }
}

}  // namespace
}  // namespace cpns::cli
