// `cpns store export` and `import` after a process that was killed in the middle: the files, the store and the audit trail.

#include <boost/json.hpp>

#include "cli/audited.hpp"
#include "cli/commands.hpp"
#include "cli/transfer.hpp"
#include "cli/trial_folder.hpp"
#include "crypto/suite.hpp"
#include "server/store_transfer.hpp"
#include "temp_folder.hpp"
#include "tests/support/killed_process.hpp"
#include "typed_command.hpp"

namespace cpns::cli {
namespace {

class transfer_commands : public test::temp_folder {
 protected:
  void SetUp() override {
    temp_folder::SetUp();
    ASSERT_TRUE(make_trial_folder({.folder = folder / "t", .devices = 2}));
    file = (folder / "x.export").string();
    auto text = read(yaml("server"));
    for (const std::string of_old : {"path: state/server", "state/server.audit.jsonl"}) {
      const auto at = text.find(of_old);
      ASSERT_NE(at, std::string::npos) << of_old;
      text.insert(at + of_old.find("server"), "new-");
    }
    write("t/new.yaml", text);
  }
  [[nodiscard]] std::string yaml(const std::string& name) const { return folder / "t" / (name + ".yaml"); }
  test::typed_outcome run(const std::string& verb, const std::string& of,
                          std::vector<std::string> more = {}) {
    std::vector<std::string> args{"store", verb, file, "--config", yaml(of)};
    args.insert(args.end(), more.begin(), more.end());
    return test::type_command(std::move(args), add_store);
  }
  /// "ACTION OUTCOME" of the changes in the trail, "-" if the outcome is missing.
  std::vector<std::string> trail(const std::string& name) {
    std::vector<std::string> out;
    std::ifstream in(folder / "t/state" / (name + ".audit.jsonl"));
    for (std::string line; std::getline(in, line);) {
      const auto of = boost::json::parse(line).as_object();
      if (of.at("kind") == "intent")
        out.push_back(std::string(of.at("action").as_string()) + " -");
      else if (of.at("kind") == "outcome")
        out.push_back(std::string(of.at("action").as_string()) + " " +
                      std::string(of.at("outcome").as_string()));
    }
    return out;
  }
  std::string file;
};

TEST_F(transfer_commands, repeat_an_import_that_was_killed_before_its_message) {
  ASSERT_EQ(run("export", "server").code, 0);
  ASSERT_TRUE(test::in_killed_process([this](const auto& die) {
    const auto c = config::load_server(yaml("new")).value();
    const auto key = open_protector(c.protector).value();
    const auto from = storage::export_reader::open(file, *key).value();
    const auto on = [](std::uint64_t) { return true; };
    const auto content = server::check_export(*from, on).value();
    auto store = opened_store::open(c.store, c.protector).value();
    const auto trail = open_trail(c, store.sealed()).value();
    const auto ticket = trail->begin(change_by_command(
        store_import, file, nullptr, boost::json::object{{"file_id", to_hex(from->header().id)}}));
    die(ticket && server::import_rows(store.sealed(), *from, content, on));
  }));
  EXPECT_EQ(trail("new-server"), std::vector<std::string>{"store-import -"});
  const auto again = run("import", "new");
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_NE(again.out.find("An earlier call imported " + file + " completely"), std::string::npos)
      << again.out;
  EXPECT_NE(again.out.find("devices 2"), std::string::npos) << again.out;
  EXPECT_EQ(trail("new-server"), (std::vector<std::string>{"store-import -", "store-import done"}));
  const auto told = boost::json::parse(run("import", "new", {"--json"}).out).as_object();
  EXPECT_TRUE(told.at("complete_before").as_bool());
  ASSERT_EQ(run("export", "server", {"--force"}).code, 0);
  const auto other = run("import", "new");
  EXPECT_EQ(other.code, 1) << "another file";
  EXPECT_NE(other.err.find("an import needs an empty one"), std::string::npos) << other.err;
}

TEST_F(transfer_commands, find_out_what_became_of_an_export_that_was_killed) {
  const auto begun = trail("server").size();
  const auto killed = [this](bool finished, bool moved) {
    ASSERT_TRUE(test::in_killed_process([&](const auto& die) {
      const auto c = config::load_server(yaml("server")).value();
      const auto key = open_protector(c.protector).value();
      auto store = opened_store::open(c.store, c.protector).value();
      const auto trail = open_trail(c, store.sealed()).value();
      const auto to = storage::export_writer::begin(file, storage::if_exists::replace, *key, now_wall(),
                                                    crypto::system_entropy())
                          .value();
      const auto ticket = trail->begin(
          change_by_command(store_export, "x.export", nullptr,
                            boost::json::object{{"file_id", to_hex(to->header().id)}, {"file", file}}));
      const bool written = !finished || to->finish();
      if (moved) std::filesystem::rename(file, file + ".moved");
      die(ticket && written);
    }));
  };
  killed(true, false);
  killed(true, true);
  killed(false, false);
  ASSERT_EQ(run("export", "server").code, 0);
  auto all = trail("server");
  all.erase(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(begun));
  EXPECT_EQ(all, (std::vector<std::string>{"store-export -", "store-export done", "store-export -",
                                           "store-export unknown", "store-export -", "store-export not_done",
                                           "store-export -", "store-export done"}));
}

}  // namespace
}  // namespace cpns::cli
