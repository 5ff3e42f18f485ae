// The commands that change a stopped role leave their lines in its audit trail, and `cpns audit` checks and shows it.

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>

#include "audit/server_states.hpp"
#include "cli/audited.hpp"
#include "cli/commands.hpp"
#include "cli/rewrap.hpp"
#include "cli/trial_folder.hpp"
#include "crypto/suite.hpp"
#include "temp_folder.hpp"
#include "typed_command.hpp"

namespace cpns::cli {
namespace {

class audit_commands : public test::temp_folder {
 protected:
  test::typed_outcome run(std::vector<std::string> args) {
    return test::type_command(std::move(args), [](CLI::App& app, int& code) {
      for (const auto add : {add_user, add_device, add_entity, add_store, add_audit}) add(app, code);
    });
  }
  void SetUp() override {
    temp_folder::SetUp();
    ASSERT_TRUE(make_trial_folder({.folder = folder / "t", .devices = 2}));
    pass = write("pass", "correct horse\n").string();
  }
  [[nodiscard]] std::string yaml(const std::string& role = "server") const {
    return (folder / "t" / (role + ".yaml")).string();
  }
  [[nodiscard]] std::filesystem::path trail(const std::string& role = "server") const {
    return folder / "t/state" / (role + ".audit.jsonl");
  }
  std::vector<boost::json::object> lines(const std::string& role = "server") {
    std::vector<boost::json::object> out;
    std::ifstream in(trail(role));
    for (std::string line; std::getline(in, line);) out.push_back(boost::json::parse(line).as_object());
    return out;
  }
  static std::string text(const boost::json::object& o, const char* key) {
    const auto* v = o.if_contains(key);
    return v != nullptr && v->is_string() ? std::string(v->get_string().data(), v->get_string().size())
                                          : std::string{};
  }
  /// "ACTION OBJECT OUTCOME" of the last change.
  std::string last(const std::string& role = "server") {
    const auto all = lines(role);
    return text(all.back(), "action") + " " + text(all.back(), "object") + " " + text(all.back(), "outcome");
  }
  test::typed_outcome verify(const std::string& role = "server") {
    return run({"audit", "verify", "--config", yaml(role)});
  }
  void edit(const std::string& role, const std::string& from, const std::string& to) {
    auto now = read(yaml(role));
    const auto at = now.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    write("t/" + role + ".yaml", now.replace(at, from.size(), to));
  }
  static bool has(const std::string& in, const std::string& what) {
    return in.find(what) != std::string::npos;
  }

  std::string pass;
  const std::string tk = "8f14e45fceea167a5a36dedd4bea2543", one = "urn:dev:mac:0024befffe804ff1";
};

TEST_F(audit_commands, begin_with_the_user_and_the_devices_of_the_trial) {
  EXPECT_EQ(mode(trail()), 0600U);
  const auto all = lines();
  ASSERT_EQ(all.size(), 5U);
  EXPECT_EQ(text(all[0], "kind"), "began");
  EXPECT_EQ(text(all[2], "action"), "user-add");
  EXPECT_EQ(text(all[2], "outcome"), "done");
  EXPECT_EQ(text(all[4], "action"), "device-import");
  EXPECT_EQ(all[4].at("after").as_object().at("imported").as_int64(), 2);
  const auto o = verify();
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_TRUE(o.out.starts_with(trail().string() + ": 5 lines, 1 to 5, from 20")) << o.out;
  EXPECT_TRUE(has(o.out, "The chain is whole: line 5 is the last one that the store knows.")) << o.out;
}

TEST_F(audit_commands, record_each_change_and_each_one_that_was_refused) {
  ASSERT_EQ(run({"user", "add", "bob", "--config", yaml(), "--password-file", pass}).code, 0);
  EXPECT_EQ(last(), "user-add bob done");
  ASSERT_EQ(run({"user", "add", "bob", "--config", yaml(), "--password-file", pass}).code, 1);
  EXPECT_EQ(last(), "user-add bob refused");
  EXPECT_TRUE(has(text(lines().back(), "reason"), "already exists: the user bob"));
  ASSERT_EQ(run({"user", "passwd", "bob", "--config", yaml(), "--password-file", pass}).code, 0);
  EXPECT_EQ(last(), "user-password bob done");
  const auto all = lines();
  const auto& change = all[all.size() - 2];
  EXPECT_EQ(text(change, "via"), "command");
  const auto& who = change.at("who").as_object();
  EXPECT_EQ(who.at("uid").as_int64(), static_cast<std::int64_t>(::getuid()));
  EXPECT_EQ(who.at("pid").as_int64(), ::getpid());
  EXPECT_EQ(text(who, "executable"), std::filesystem::read_symlink("/proc/self/exe").string());
  EXPECT_EQ(text(change.at("before").as_object(), "created"),
            text(change.at("after").as_object(), "created"));
  EXPECT_NE(text(change.at("before").as_object(), "password_id"),
            text(change.at("after").as_object(), "password_id"));
  ASSERT_EQ(run({"user", "remove", "bob", "--config", yaml()}).code, 0);
  EXPECT_EQ(last(), "user-remove bob done");
  ASSERT_EQ(run({"user", "remove", "bob", "--config", yaml()}).code, 1);
  EXPECT_EQ(last(), "user-remove bob refused");
  ASSERT_EQ(run({"entity", "release", one, "--config", yaml()}).code, 1);
  EXPECT_EQ(last(), "entity-release " + one + " refused");
  ASSERT_EQ(run({"entity", "release", "--held-by", "urn:cpns:gw:gw1", "--config", yaml()}).code, 1);
  EXPECT_EQ(last(), "gateway-release urn:cpns:gw:gw1 refused");
  const auto before = lines().size();
  EXPECT_EQ(run({"user", "list", "--config", yaml()}).code, 0);
  EXPECT_EQ(run({"user", "add", "b b", "--config", yaml(), "--password-file", pass}).code, 2);
  EXPECT_EQ(lines().size(), before) << "a question is not a change, and a wrong command line reaches no role";
  EXPECT_EQ(verify().code, 0);
}

TEST_F(audit_commands, record_an_import_with_counts_and_a_digest_but_no_key) {
  const auto file = write("lot.csv", "entity_id,temporary_key,strength,owner\n" + one + "," + tk +
                                         ",128bit,alice@example.org\nheadset," + tk + ",128bit,\n");
  ASSERT_EQ(run({"device", "import", file.string(), "--config", yaml()}).code, 1);
  EXPECT_EQ(last(), "device-import lot.csv refused");
  EXPECT_EQ(text(lines().back(), "reason"), "1 row cannot be used");
  ASSERT_EQ(run({"device", "import", file.string(), "--config", yaml(), "--partial"}).code, 1);
  EXPECT_EQ(last(), "device-import lot.csv done");
  const auto all = lines();
  const auto& wanted = all[all.size() - 2].at("after").as_object();
  EXPECT_EQ(wanted.at("rows").as_int64(), 1);
  EXPECT_EQ(wanted.at("bad_rows").as_int64(), 1);
  const auto sum = crypto::openssl_suite().sha256(as_bytes(one + "\t128bit\talice@example.org\n"));
  EXPECT_EQ(text(wanted, "sha256"), to_hex(sum));
  EXPECT_TRUE(text(wanted, "import").starts_with("file-"));
  EXPECT_EQ(all.back().at("after").as_object().at("imported").as_int64(), 1);
  EXPECT_EQ(all.back().at("after").as_object().at("left_out").as_int64(), 1);
  const auto content = read(trail());
  for (const auto& secret :
       {tk, std::string("correct horse"), read(folder / "t/password"), std::string("8f14e45f")})
    EXPECT_FALSE(has(content, secret));
}

TEST_F(audit_commands, change_nothing_if_the_trail_cannot_be_written) {
  const auto kept = trail().string() + ".kept";
  std::filesystem::rename(trail(), kept);
  std::filesystem::create_directory(trail());
  const auto import =
      write("lot.csv", "entity_id,temporary_key,strength\n" + one + "," + tk + ",128bit\n").string();
  for (const auto& args : std::vector<std::vector<std::string>>{
           {"user", "add", "bob", "--config", yaml(), "--password-file", pass},
           {"user", "passwd", "alice@example.org", "--config", yaml(), "--password-file", pass},
           {"user", "remove", "alice@example.org", "--config", yaml()},
           {"device", "import", import, "--config", yaml()},
           {"entity", "release", one, "--config", yaml()},
           {"store", "rewrap", "--config", yaml(), "--new-file", (folder / "next.kek").string()}}) {
    const auto o = run(args);
    EXPECT_EQ(o.code, 1);
    EXPECT_TRUE(has(o.err, "'audit.file': the audit file " + trail().string() + ": ")) << o.err;
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "next.kek"));
  std::filesystem::remove(trail());
  std::filesystem::rename(kept, trail());
  ::chmod(trail().c_str(), 0666);
  EXPECT_TRUE(has(run({"user", "remove", "alice@example.org", "--config", yaml()}).err, "chmod 640"));
  ::chmod(trail().c_str(), 0640);
  EXPECT_TRUE(run({"user", "list", "--config", yaml()}).out.starts_with("alice@example.org\t"));
  EXPECT_FALSE(has(run({"user", "list", "--config", yaml()}).out, "bob"));
  EXPECT_EQ(lines().size(), 5U);
  EXPECT_EQ(verify().code, 0);
}

TEST_F(audit_commands, verify_says_what_was_changed) {
  auto content = read(trail());
  const auto at = content.find("alice@example.org");
  write("t/state/server.audit.jsonl", content.replace(at, 5, "mallo"));
  const auto o = verify();
  EXPECT_EQ(o.code, 1);
  EXPECT_TRUE(has(o.err, trail().string() + ":2: this line was changed, or not written by this role\n"))
      << o.err;
  EXPECT_TRUE(has(o.err, "cpns: the trail is not as the role wrote it\n")) << o.err;
  EXPECT_FALSE(has(o.out, "whole"));
  const auto json =
      boost::json::parse(run({"audit", "verify", "--config", yaml(), "--json"}).out).as_object();
  EXPECT_FALSE(json.at("whole").as_bool());
  EXPECT_EQ(json.at("head").as_int64(), 5);
  EXPECT_EQ(json.at("faults").as_array().at(0).as_object().at("line").as_int64(), 2);
}

TEST_F(audit_commands, verify_takes_the_files_of_a_rotation_in_any_order) {
  std::vector<std::string> args{"audit", "verify", "--config", yaml()};
  for (const auto* name : {"2", "1"}) {
    const auto moved = trail().string() + "." + name;
    std::filesystem::rename(trail(), moved);
    args.push_back(moved);
    ASSERT_EQ(run({"user", "passwd", "alice@example.org", "--config", yaml(), "--password-file", pass}).code,
              0);
  }
  std::reverse(args.begin() + 4, args.end());
  const auto o = run(args);
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_TRUE(has(o.out, ".audit.jsonl.2: 5 lines, 1 to 5,")) << o.out;
  EXPECT_TRUE(has(o.out, ".audit.jsonl: 2 lines, 8 to 9,")) << o.out;
  args.erase(args.begin() + 4);
  EXPECT_TRUE(has(run(args).err, "lines 6 to 7: missing before this one")) << run(args).err;
  const auto alone = verify();
  EXPECT_EQ(alone.code, 0);
  EXPECT_TRUE(has(alone.out, "note: the files begin with line 8")) << alone.out;
}

TEST_F(audit_commands, verify_says_that_the_role_runs) {
  int told[2];
  ASSERT_EQ(::pipe(told), 0);
  const auto holder = ::fork();
  if (holder == 0) {
    const auto opened = open_server_store(yaml());
    static_cast<void>(::write(told[1], opened ? "1" : "0", 1));
    ::pause();
  }
  char opened = 0;
  ASSERT_EQ(::read(told[0], &opened, 1), 1);
  const auto o = verify();
  EXPECT_EQ(o.code, 1);
  EXPECT_TRUE(has(o.err, "The server is running and holds the key of its trail")) << o.err;
  EXPECT_EQ(run({"audit", "show", "--config", yaml()}).code, 0) << "this needs no key";
  ::kill(holder, SIGKILL);
  ::waitpid(holder, nullptr, 0);
  ::close(told[0]);
  ::close(told[1]);
}

TEST_F(audit_commands, verify_says_that_there_is_no_trail_yet) {
  const auto o = verify("gateway");
  EXPECT_EQ(o.code, 1);
  EXPECT_TRUE(has(o.err, "a chain in the store of this role")) << o.err;
  EXPECT_FALSE(std::filesystem::exists(folder / "t/state/gateway")) << "a check creates no store";
  EXPECT_EQ(verify("pne").code, 1);
  edit("server", "  kind: rocksdb\n  path: state/server\n", "  kind: memory\n");
  edit("server", "\naudit:\n  file: state/server.audit.jsonl\n", "");
  EXPECT_TRUE(has(verify().err, "it keeps its store in memory, and audit.file is not set")) << verify().err;
}

TEST_F(audit_commands, show_filters_by_time_object_and_action) {
  const auto shown = [this](std::vector<std::string> more) {
    std::vector<std::string> args{"audit", "show", "--config", yaml()};
    args.insert(args.end(), more.begin(), more.end());
    const auto o = run(args);
    EXPECT_EQ(o.code, 0) << o.err;
    return o.out;
  };
  const auto count = [](const std::string& s) { return std::count(s.begin(), s.end(), '\n'); };
  const auto all = shown({});
  EXPECT_EQ(count(all), 5);
  EXPECT_TRUE(has(all, "Z  2  user-add alice@example.org begun by ")) << all;
  EXPECT_TRUE(has(all, "Z  3  user-add alice@example.org done [2]\n")) << all;
  EXPECT_TRUE(has(all, "(uid " + std::to_string(::getuid()))) << all;
  EXPECT_EQ(count(shown({"--object", "alice@example.org"})), 2);
  EXPECT_EQ(count(shown({"--object", "alice*"})), 2);
  EXPECT_EQ(count(shown({"--action", "device-*"})), 2);
  EXPECT_EQ(count(shown({"--since", "1h"})), 5);
  EXPECT_EQ(count(shown({"--since", "2020-01-01T00:00Z"})), 5);
  EXPECT_EQ(count(shown({"--since", "9000"})), 0);
  for (const auto& line : lines()) EXPECT_TRUE(has(shown({"--json"}), text(line, "mac")));
  EXPECT_EQ(run({"audit", "show", "--config", yaml(), "--since", "yesterday"}).code, 2);
  EXPECT_EQ(run({"audit", "show", "--config", yaml(), (folder / "none").string()}).code, 1);
  write("t/state/server.audit.jsonl",
        read(trail()) + "{\"kind\":\"refused\",\"object\":\"\\u001b[2Jx\"}\nnot json\n");
  const auto odd = run({"audit", "show", "--config", yaml()});
  EXPECT_FALSE(has(odd.out, "\x1b")) << "a hostile text must not reach the terminal";
  EXPECT_TRUE(has(odd.err, ":7: not a line of an audit trail")) << odd.err;
}

TEST_F(audit_commands, a_crash_of_a_command_is_closed_by_the_next_one) {
  const auto pid = ::fork();
  if (pid == 0) {
    auto opened = open_audited_server(yaml());
    if (!opened) ::_exit(1);
    const auto user =
        make_user(crypto::openssl_suite(), crypto::system_entropy(), user_id::parse("bob").value(),
                  secret_bytes::from_text("correct horse"), now_wall());
    auto ticket = opened->trail->begin(change_by_command("user-add", "bob", nullptr, audit::state_of(user)));
    const auto more =
        opened->trail->begin(change_by_command("user-add", "carol", nullptr, audit::state_of(user)));
    ::_exit(ticket && more && add_user(opened->store.sealed(), user) ? 7 : 1);
  }
  int ended = 0;
  ::waitpid(pid, &ended, 0);
  ASSERT_EQ(WEXITSTATUS(ended), 7);
  ASSERT_EQ(run({"user", "passwd", "bob", "--config", yaml(), "--password-file", pass}).code, 0);
  const auto all = lines();
  ASSERT_EQ(all.size(), 11U);
  EXPECT_EQ(text(all[7], "object") + " " + text(all[7], "outcome"), "bob done");
  EXPECT_EQ(text(all[8], "object") + " " + text(all[8], "outcome"), "carol not_done");
  EXPECT_TRUE(all[7].at("recovered").as_bool());
  EXPECT_TRUE(has(run({"audit", "show", "--config", yaml()}).out, "(found at the next start)"));
  EXPECT_EQ(verify().code, 0);
}

TEST_F(audit_commands, rewrap_keeps_the_chain_of_each_role) {
  const auto gateway = config::load_gateway(yaml("gateway")).value();
  {
    auto store = opened_store::open(gateway.store, gateway.protector).value();
    ASSERT_TRUE(open_trail(gateway, store.sealed()));
    const auto pne = config::load_pne(yaml("pne")).value();
    std::filesystem::create_directories(pne.keys_dir);
    const auto protector = open_protector(pne.protector).value();
    ASSERT_TRUE(open_trail(pne, *protector));
  }
  for (const std::string role : {"server", "gateway", "pne"}) {
    const auto next = (folder / "t" / (role + "-2.kek")).string();
    ASSERT_EQ(run({"store", "rewrap", "--config", yaml(role), "--new-file", next}).code, 0) << role;
    const auto all = lines(role);
    EXPECT_EQ(text(all.back(), "action"), "store-rewrap");
    EXPECT_EQ(text(all.back(), "outcome"), "done");
    EXPECT_EQ(text(all[all.size() - 2].at("after").as_object(), "file"), next);
    EXPECT_EQ(verify(role).code, 1) << "the old key opens nothing";
    edit(role, role + ".kek", role + "-2.kek");
    const auto o = verify(role);
    EXPECT_EQ(o.code, 0) << o.err;
    ASSERT_EQ(run({"store", "rewrap", "--config", yaml(role), "--in-place"}).code, 0) << role;
    EXPECT_TRUE(lines(role)[all.size()].at("after").as_object().at("in_place").as_bool());
    EXPECT_EQ(verify(role).code, 0);
    EXPECT_EQ(run({"store", "rewrap", "--config", yaml(role), "--new-file", next}).code, 1)
        << "the key in use";
    EXPECT_EQ(text(lines(role).back(), "outcome"), "refused");
  }
}

TEST_F(audit_commands, an_interrupted_rewrap_is_closed_by_its_repetition) {
  const auto pid = ::fork();
  if (pid == 0) {
    rewrap_options o;
    o.config = yaml();
    o.in_place = true;
    o.at = [](rewrap_step s) {
      if (s == rewrap_step::data_key_wrapped) ::_exit(7);
    };
    static_cast<void>(rewrap_role(o));
    ::_exit(1);
  }
  int ended = 0;
  ::waitpid(pid, &ended, 0);
  ASSERT_EQ(WEXITSTATUS(ended), 7);
  ASSERT_EQ(run({"store", "rewrap", "--config", yaml(), "--in-place"}).code, 0);
  const auto all = lines();
  ASSERT_EQ(all.size(), 9U);
  EXPECT_EQ(text(all[6], "outcome"), "unknown");
  EXPECT_TRUE(has(text(all[6], "reason"), "a repetition finishes it"));
  EXPECT_EQ(text(all[8], "outcome"), "done");
  EXPECT_EQ(all[8].at("after").as_object().at("already").as_int64(), 1);
  EXPECT_EQ(verify().code, 0);
}

TEST_F(audit_commands, a_pne_with_single_key_files_has_a_chain_beside_the_first) {
  const auto file = write(
      "p.yaml", "role: pne\ndevices:\n  - entity: " + one +
                    "\n    temporary_key_file: tk\n    key_file: one.key\ntransports:\n  - name: a\n    "
                    "plugin: tcp\nprotector:\n  file: t/pne.kek\n");
  const auto pne = config::load_pne(file);
  ASSERT_TRUE(pne) << pne.error().as_error().detail;
  EXPECT_EQ(pne->audit.file, folder / "one.key.audit.jsonl");
  {
    const auto protector = open_protector(pne->protector).value();
    const auto t = open_trail(*pne, *protector).value();
    auto ticket = t->begin(change_by_command("device-wake", one, nullptr, nullptr));
    ASSERT_TRUE(t->finish(std::move(*ticket), {}));
  }
  EXPECT_EQ(mode(folder / "one.key.audit.head"), 0600U);
  EXPECT_EQ(mode(folder / "one.key.audit.key"), 0600U);
  EXPECT_EQ(run({"audit", "verify", "--config", file.string()}).code, 0);
  ASSERT_EQ(
      run({"store", "rewrap", "--config", file.string(), "--new-file", (folder / "t/next.kek").string()})
          .code,
      0);
  write("p.yaml", read(file).replace(read(file).find("t/pne.kek"), 9, "t/next.kek"));
  const auto o = run({"audit", "verify", "--config", file.string()});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_TRUE(has(o.out, "5 lines, 1 to 5")) << o.out;
}

TEST_F(audit_commands, have_help_with_examples) {
  for (const auto* c : {"verify", "show"}) {
    const auto o = run({"audit", c, "--help"});
    EXPECT_EQ(o.code, 0);
    EXPECT_TRUE(has(o.out, "Examples:")) << o.out;
    EXPECT_TRUE(has(o.out, "Exit codes: 0")) << o.out;
    EXPECT_EQ(run({"audit", c}).code, 2) << "--config is required";
  }
}

}  // namespace
}  // namespace cpns::cli
