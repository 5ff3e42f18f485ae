// `cpns store rewrap`: another key for each role, and a process that dies after each step.
#include "cli/rewrap.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actors/pne/key_files.hpp"
#include "cli/commands.hpp"
#include "cli/stores.hpp"
#include "cli/trial_folder.hpp"
#include "crypto/suite.hpp"
#include "storage/file.hpp"
#include "storage/secret_file.hpp"
#include "temp_folder.hpp"
#include "tests/support/in_process.hpp"
#include "typed_command.hpp"

namespace cpns::cli {
namespace {

namespace fs = std::filesystem;

using test::in_process;

class rewrap : public test::temp_folder {
 protected:
  void SetUp() override {
    temp_folder::SetUp();
    trial_options o;
    o.folder = (folder / "t").string();
    o.devices = 2;
    ASSERT_EQ(in_process([&o] { return make_trial_folder(o) ? 0 : 1; }), 0);
  }
  fs::path yaml(const std::string& role) const { return folder / "t" / (role + ".yaml"); }
  fs::path file(const std::string& name) const { return folder / "t" / name; }

  /// How many users the server's store holds if the key in `kek` opens it; otherwise 50, and said() is the error.
  int users_with(const fs::path& kek) const {
    return in_process([&] {
      auto c = config::load_server(yaml("server")).value();
      c.protector = {config::protector_kind::file, kek};
      auto opened = open_server_store(c);
      std::ofstream(folder / "said") << (opened ? "" : opened.error().detail);
      return opened ? static_cast<int>(list_users(opened->sealed())->size()) : 50;
    });
  }
  std::string said() const { return read(folder / "said"); }

  /// 0 done, 1 failed, with the error's detail in said(); 7 if it was stopped at the step `last`.
  int call(rewrap_options o, std::optional<rewrap_step> last = {}) const {
    return in_process([&] {
      o.at = [last](rewrap_step now) {
        if (now == last) ::_exit(7);
      };
      const auto done = rewrap_role(o);
      std::ofstream(folder / "said") << (done ? "" : done.error().message());
      return done ? 0 : 1;
    });
  }
  rewrap_options to_file(const std::string& role, const std::string& name) const {
    rewrap_options o;
    o.config = yaml(role);
    o.new_file = file(name);
    return o;
  }
  rewrap_options in_place(const std::string& role) const {
    rewrap_options o;
    o.config = yaml(role);
    o.in_place = true;
    return o;
  }
  /// Changes the configuration of a role.
  void edit(const std::string& role, const std::string& from, const std::string& to) const {
    auto text = read(yaml(role));
    const auto at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    write("t/" + role + ".yaml", text.replace(at, from.size(), to));
  }
  bool names(const std::string& text) const { return said().find(text) != std::string::npos; }
};

TEST_F(rewrap, makes_the_new_key_file_and_leaves_the_old_one) {
  const auto old = read(file("server.kek"));
  ASSERT_EQ(call(to_file("server", "next.kek")), 0) << said();
  EXPECT_EQ(mode(file("next.kek")), 0600U);
  EXPECT_EQ(read(file("server.kek")), old);
  EXPECT_EQ(users_with(file("next.kek")), 1);
  EXPECT_EQ(users_with(file("server.kek")), 50);
  EXPECT_TRUE(names("server.kek cannot unwrap the data key")) << said();
  EXPECT_EQ(call(to_file("server", "next.kek")), 0) << "a repetition finds nothing to do";
  EXPECT_EQ(users_with(file("next.kek")), 1);
}

TEST_F(rewrap, is_repeated_after_a_crash_at_each_step) {
  std::string before = "server.kek";
  for (const auto step : {rewrap_step::key_made, rewrap_step::data_key_wrapped}) {
    const auto name = "next" + std::to_string(static_cast<int>(step));
    ASSERT_EQ(call(to_file("server", name), step), 7);
    const bool wrapped = step == rewrap_step::data_key_wrapped;
    EXPECT_EQ(users_with(file(name)), wrapped ? 1 : 50);
    EXPECT_EQ(users_with(file(before)), wrapped ? 50 : 1);
    const auto made = read(file(name));
    ASSERT_EQ(call(to_file("server", name)), 0) << said();
    EXPECT_EQ(read(file(name)), made) << "the key of the first call is used";
    EXPECT_EQ(users_with(file(name)), 1);
    edit("server", "file: " + before, "file: " + name);
    before = name;
  }
}

TEST_F(rewrap, in_place_is_finished_by_a_repetition_after_a_crash_at_each_step) {
  const std::vector<rewrap_step> steps{rewrap_step::key_made, rewrap_step::data_key_wrapped,
                                       rewrap_step::old_key_kept};
  const auto kek = file("server.kek");
  for (const auto step : steps) {
    const auto old = read(kek);
    ASSERT_EQ(call(in_place("server"), step), 7);
    EXPECT_EQ(read(kek), old) << "the configured file changes last";
    const auto next = read(file("server.kek.rewrap"));
    if (step == rewrap_step::key_made) {
      EXPECT_EQ(users_with(kek), 1) << "the role can start";
    } else {
      EXPECT_EQ(users_with(kek), 50);
      EXPECT_TRUE(names("server.kek.rewrap opens it")) << said();
      EXPECT_TRUE(names("repeat it to finish it")) << said();
    }
    ASSERT_EQ(call(in_place("server")), 0) << said();
    EXPECT_EQ(read(kek), next) << "the key of the first call is used";
    EXPECT_EQ(read(file("server.kek.old")), old);
    EXPECT_FALSE(fs::exists(file("server.kek.rewrap")));
    EXPECT_EQ(mode(kek), 0600U);
    EXPECT_EQ(mode(file("server.kek.old")), 0600U);
    EXPECT_EQ(users_with(kek), 1);
    fs::remove(file("server.kek.old"));
  }
  ASSERT_EQ(call(in_place("server"), rewrap_step::renamed), 7);
  EXPECT_EQ(users_with(kek), 1) << "all is done at the last step";
}

TEST_F(rewrap, in_place_replaces_no_old_key_and_no_file_that_others_use) {
  ASSERT_EQ(call(in_place("server")), 0) << said();
  const auto old = read(file("server.kek.old")), now = read(file("server.kek"));
  EXPECT_EQ(call(in_place("server")), 1);
  EXPECT_TRUE(names("server.kek.old, the old key of an earlier rewrap")) << said();
  EXPECT_EQ(read(file("server.kek.old")), old);
  fs::remove(file("server.kek.old"));
  ::chmod(file("server.kek").c_str(), 0640);
  EXPECT_EQ(call(in_place("server")), 1);
  EXPECT_TRUE(names("its group can read it")) << said();
  ::chmod(file("server.kek").c_str(), 0600);
  fs::rename(file("server.kek"), file("target"));
  fs::create_symlink("target", file("server.kek"));
  EXPECT_EQ(call(in_place("server")), 1);
  EXPECT_TRUE(names("it is a link")) << said();
  EXPECT_EQ(read(file("target")), now);
  EXPECT_EQ(users_with(file("target")), 1);
  EXPECT_FALSE(fs::exists(file("server.kek.rewrap")));
}

TEST_F(rewrap, an_interrupted_call_in_place_is_finished_before_another_key_is_taken) {
  ASSERT_EQ(call(in_place("server"), rewrap_step::data_key_wrapped), 7);
  EXPECT_EQ(call(to_file("server", "other.kek")), 1);
  EXPECT_TRUE(names("`cpns store rewrap --in-place` was interrupted")) << said();
  EXPECT_FALSE(fs::exists(file("other.kek")));
  ASSERT_EQ(call(in_place("server")), 0) << said();
  EXPECT_EQ(call(to_file("server", "other.kek")), 0) << said();
}

TEST_F(rewrap, changes_nothing_with_the_wrong_old_key) {
  fs::rename(file("server.kek"), file("right.kek"));
  fs::copy_file(file("gateway.kek"), file("server.kek"));
  for (const auto& o : {to_file("server", "next.kek"), in_place("server")}) {
    EXPECT_EQ(call(o), 1);
    EXPECT_TRUE(names("server.kek cannot unwrap the data key")) << said();
  }
  for (const auto* name : {"next.kek", "server.kek.rewrap", "server.kek.old"})
    EXPECT_FALSE(fs::exists(file(name))) << name;
  EXPECT_EQ(users_with(file("right.kek")), 1);
}

TEST_F(rewrap, refuses_a_new_key_that_the_role_could_not_use) {
  ASSERT_EQ(call(to_file("server", "server.kek")), 1);
  EXPECT_TRUE(names("holds the key that is in use")) << said();
  std::ofstream(file("short.kek")) << "0123\n";
  ::chmod(file("short.kek").c_str(), 0600);
  EXPECT_EQ(call(to_file("server", "short.kek")), 1);
  fs::copy_file(file("gateway.kek"), file("open.kek"));
  ::chmod(file("open.kek").c_str(), 0644);
  EXPECT_EQ(call(to_file("server", "open.kek")), 1);
  EXPECT_TRUE(names("chmod 600")) << said();
  EXPECT_EQ(users_with(file("server.kek")), 1);
}

TEST_F(rewrap, takes_a_passphrase_and_goes_back_to_a_file) {
  rewrap_options o;
  o.config = yaml("server");
  o.new_passphrase_file = write("t/words", "correct horse\n");
  ASSERT_EQ(call(o), 0) << said();
  EXPECT_EQ(users_with(file("server.kek")), 50);
  edit("server", "kind: file\n  file: server.kek", "kind: passphrase\n  file: words");
  EXPECT_EQ(call(in_place("server")), 1);
  EXPECT_TRUE(names("protector.kind is passphrase")) << said();
  ASSERT_EQ(call(to_file("server", "next.kek")), 0) << said();
  EXPECT_EQ(users_with(file("next.kek")), 1);
}

TEST_F(rewrap, refuses_a_store_in_use_and_one_that_does_not_exist) {
  int told[2];
  ASSERT_EQ(::pipe(told), 0);
  const auto holder = ::fork();
  if (holder == 0) {
    const auto opened = open_server_store(yaml("server"));
    static_cast<void>(::write(told[1], opened ? "1" : "0", 1));
    ::pause();
  }
  char opened = 0;
  ASSERT_EQ(::read(told[0], &opened, 1), 1);
  EXPECT_EQ(opened, '1');
  EXPECT_EQ(call(to_file("server", "next.kek")), 1);
  EXPECT_TRUE(names("the store is in use")) << said();
  EXPECT_TRUE(names("the server is running, and its key cannot be changed meanwhile; stop it")) << said();
  ::kill(holder, SIGKILL);
  ::waitpid(holder, nullptr, 0);
  ::close(told[0]);
  ::close(told[1]);
  EXPECT_FALSE(fs::exists(file("next.kek")));

  for (const auto* role : {"gateway", "pne"}) {
    EXPECT_EQ(call(to_file(role, "next.kek")), 1);
    EXPECT_TRUE(names("not found: a data key in ")) << said();
  }
  EXPECT_FALSE(fs::exists(file("next.kek")));
  EXPECT_FALSE(fs::exists(file("state/gateway"))) << "the store must not be created";
}

TEST_F(rewrap, locks_the_store_until_the_last_step) {
  const auto store = config::load_server(yaml("server")).value().store;
  const auto unlocked = in_process([&] {
    int steps_unlocked = 0;
    auto o = in_place("server");
    o.at = [&](rewrap_step) {
      steps_unlocked += in_process([&] {
        const auto opened = open_raw_store(store);
        return !opened && opened.error() == errc::store_locked ? 0 : 1;
      });
    };
    return rewrap_role(o) ? steps_unlocked : 50;
  });
  EXPECT_EQ(unlocked, 0);
}

TEST_F(rewrap, takes_exactly_one_new_key) {
  rewrap_options o;
  o.config = yaml("server");
  EXPECT_EQ(rewrap_role(o).error().code, errc::config_usage);
  o.new_file = file("next.kek");
  o.in_place = true;
  EXPECT_EQ(rewrap_role(o).error().code, errc::config_usage);
  EXPECT_FALSE(fs::exists(file("next.kek")));
}

/// A PNE with three devices that have key files of their own; the third has no key yet.
class rewrap_of_a_pne : public rewrap {
 protected:
  void SetUp() override {
    rewrap::SetUp();
    std::string devices = "devices:\n";
    for (const auto* n : {"1", "2", "3"}) {
      devices +=
          "  - entity: " + entity(n).text() + "\n    temporary_key_file: tk\n    key_file: d" + n + ".key\n";
      if (std::string(n) != "3") save(n);
    }
    edit("pne", "devices_file: devices.csv\nkeys_dir: state/pne\n", devices);
  }
  static entity_id entity(const std::string& n) { return entity_id::parse("urn:dev:os:1-" + n).value(); }
  result<storage::sealed_file> open(const std::string& n, const std::string& kek) const {
    return storage::sealed_file::open(file("d" + n + ".key"), actors::key_file_purpose(entity(n)),
                                      *storage::open_key_file(file(kek)).value(), crypto::system_entropy());
  }
  void save(const std::string& n) const { ASSERT_TRUE(open(n, "pne.kek")->save(as_bytes("keys of " + n))); }
  /// Which of the devices 1 and 2 the key in `kek` opens.
  std::string opened_with(const std::string& kek) const {
    std::string out;
    for (const auto* n : {"1", "2"})
      if (const auto f = open(n, kek); f && as_text((*f->load())->expose()) == "keys of " + std::string(n))
        out += n;
    return out;
  }
  status finished() const { return check_rewrap_finished(config::load_pne(yaml("pne")).value()); }
};

TEST_F(rewrap_of_a_pne, rewraps_each_key_file_and_none_that_is_missing) {
  const auto done = rewrap_role(to_file("pne", "next.kek"));
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(done->keys.rewrapped, 3U) << "two key files, and the key of the audit trail";
  EXPECT_EQ(done->keys.absent, 1U);
  EXPECT_EQ(opened_with("next.kek"), "12");
  EXPECT_EQ(opened_with("pne.kek"), "");
  EXPECT_FALSE(fs::exists(file("d3.key")));
}

TEST_F(rewrap_of_a_pne, goes_on_after_a_crash_between_two_key_files) {
  ASSERT_EQ(call(to_file("pne", "next.kek"), rewrap_step::data_key_wrapped), 7);
  EXPECT_EQ(opened_with("next.kek"), "1");
  EXPECT_EQ(opened_with("pne.kek"), "2");
  const auto done = rewrap_role(to_file("pne", "next.kek"));
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(done->keys.already, 1U);
  EXPECT_EQ(done->keys.rewrapped, 2U) << "the other key file, and the key of the audit trail";
  EXPECT_EQ(opened_with("next.kek"), "12");
}

TEST_F(rewrap_of_a_pne, may_not_start_between_two_key_files_in_place) {
  EXPECT_TRUE(finished());
  ASSERT_EQ(call(in_place("pne"), rewrap_step::key_made), 7);
  EXPECT_TRUE(finished()) << "no key file depends on the new key yet";
  ASSERT_EQ(call(in_place("pne"), rewrap_step::data_key_wrapped), 7);
  const auto half = finished();
  ASSERT_FALSE(half);
  EXPECT_EQ(half.error().code, errc::store_key);
  EXPECT_NE(half.error().detail.find(file("d1.key").string() + ": " + file("pne.kek.rewrap").string()),
            std::string::npos)
      << half.error().detail;
  ASSERT_EQ(call(in_place("pne")), 0) << said();
  EXPECT_TRUE(finished());
  EXPECT_EQ(opened_with("pne.kek"), "12");
}

TEST_F(rewrap_of_a_pne, refuses_key_files_in_use) {
  int told[2];
  ASSERT_EQ(::pipe(told), 0);
  const auto holder = ::fork();
  if (holder == 0) {
    const auto held = storage::hold_lock(actors::lock_of_file(file("d2.key")), "d2.key");
    static_cast<void>(::write(told[1], held ? "1" : "0", 1));
    ::pause();
  }
  char held = 0;
  ASSERT_EQ(::read(told[0], &held, 1), 1);
  EXPECT_EQ(held, '1');
  EXPECT_EQ(call(to_file("pne", "next.kek")), 1);
  EXPECT_TRUE(names("d2.key: the PNE is running")) << said();
  ::kill(holder, SIGKILL);
  ::waitpid(holder, nullptr, 0);
  ::close(told[0]);
  ::close(told[1]);
  EXPECT_EQ(opened_with("pne.kek"), "12");
}

/// The command as it is typed: output and exit code.
class rewrap_command : public rewrap {
 protected:
  test::typed_outcome run(std::vector<std::string> args) const {
    args.insert(args.begin(), {"store", "rewrap"});
    return test::type_command(std::move(args), [](CLI::App& app, int& code) { add_store(app, code); });
  }
};

TEST_F(rewrap_command, prints_the_lines_for_the_configuration) {
  const auto next = file("my key: ${2}.kek");
  const auto o = run({"--config", yaml("server").string(), "--new-file", next.string()});
  EXPECT_EQ(o.code, 0) << o.err;
  const auto printed = o.out.find("  protector:\n    kind: file\n    file: \"");
  ASSERT_NE(printed, std::string::npos) << o.out;
  EXPECT_NE(o.out.find("The old key is still in " + file("server.kek").string()), std::string::npos);
  // The printed value is the path, although YAML and the configuration give its characters a meaning.
  const auto from = o.out.find('"', printed), to = o.out.find('\n', from);
  edit("server", "kind: file\n  file: server.kek", "kind: file\n  file: " + o.out.substr(from, to - from));
  const auto c = config::load_server(yaml("server"));
  ASSERT_TRUE(c) << c.error().lines().front();
  EXPECT_EQ(c->protector.file, next);
  EXPECT_TRUE(open_server_store(*c));
}

TEST_F(rewrap_command, prints_an_object_as_json) {
  const auto o = run({"--config", yaml("server").string(), "--in-place", "--json"});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(
      o.out,
      R"({"role":"server","place":")" + file("state/server").string() +
          R"(","rewrapped":1,"already":0,"absent":0,"key_made":true,"in_place":true,"protector":{"kind":"file","file":")" +
          file("server.kek").string() + R"("},"old":{"kind":"file","file":")" +
          file("server.kek.old").string() + "\"}}\n");
}

TEST_F(rewrap_command, has_the_exit_codes_of_its_neighbours) {
  const auto config = yaml("server").string();
  EXPECT_EQ(run({"--config", config}).code, 2) << "no new key";
  EXPECT_EQ(run({"--config", config, "--new-file", "x", "--in-place"}).code, 2);
  EXPECT_EQ(run({"--in-place"}).code, 2);
  EXPECT_EQ(run({"--config", (folder / "none.yaml").string(), "--in-place"}).code, 1);
  EXPECT_EQ(run({"--config", config, "--new-passphrase-file", config}).code, 1) << "others can read it";
  EXPECT_NE(run({"--help"}).out.find("Examples:\n  cpns store rewrap"), std::string::npos);
}

}  // namespace
}  // namespace cpns::cli
