// `cpns doctor`: its bound in time, and the order and state of its lines. tests/e2e/test_doctor.py has the real roles.
#include "cli/doctor/doctor.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "cli/trial_folder.hpp"
#include "storage/rocksdb_store.hpp"
#include "temp_folder.hpp"

namespace cpns::cli {
namespace {

/// A radio that hangs until it is let go.
class slow_radio {
 public:
  ~slow_radio() {
    std::unique_lock lock{guard_};
    free_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return inside_ == 0; });
  }
  status open() {
    std::unique_lock lock{guard_};
    ++inside_;
    changed_.wait(lock, [this] { return free_; });
    --inside_;
    changed_.notify_all();
    return {};
  }

 private:
  std::mutex guard_;
  std::condition_variable changed_;
  bool free_ = false;
  int inside_ = 0;
};

class examined : public test::temp_folder {
 protected:
  void SetUp() override { ASSERT_TRUE(make_trial_folder({.folder = folder / "t", .devices = 1})); }
  std::string yaml(const std::string& role) const { return (folder / "t" / (role + ".yaml")).string(); }
  static doctor::tools with(status opened) {
    return {[](const auto&, const auto&, config::role_kind) { return config::diagnostics{}; },
            [opened](const auto&, const auto&, config::role_kind) { return opened; }};
  }
  static std::vector<doctor::line> of(const doctor::examination& e, const std::string& check) {
    std::vector<doctor::line> out;
    for (const auto& f : e.findings)
      if (f.check == check) out.push_back(f.what);
    return out;
  }
};

TEST_F(examined, ends_in_time_although_a_check_hangs) {
  const auto radio = std::make_shared<slow_radio>();
  auto tools = with({});
  tools.try_radio = [&hung = *radio](const auto&, const auto&, config::role_kind) { return hung.open(); };
  const auto begun = std::chrono::steady_clock::now();
  const auto e = doctor::examine(yaml("gateway"), tools, milliseconds{1500});
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds{10});
  const auto found = of(e, "radio");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].state, doctor::state_t::error);
  EXPECT_EQ(found[0].text.find("the check did not end within 2 s"), 0U) << found[0].text;
  EXPECT_EQ(of(e, "store").size(), 1U) << "the others have ended";
}

TEST_F(examined, distinguishes_a_radio_that_is_missing_from_one_that_is_wrong) {
  for (const auto& [code, state] : {std::pair{errc::plugin_failed, doctor::state_t::warning},
                                    {errc::plugin_load, doctor::state_t::error}}) {
    const auto found = of(doctor::examine(yaml("gateway"), with(fail(code, "the reason"))), "radio");
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].state, state);
    EXPECT_NE(found[0].text.find("the radio radio (tcp) cannot be opened: the reason"), std::string::npos);
  }
}

TEST_F(examined, lists_the_checks_of_each_role_in_one_order) {
  const auto names = [&](const std::string& role) {
    std::vector<std::string> out;
    for (const auto& f : doctor::examine(yaml(role), with({})).findings)
      if (out.empty() || out.back() != f.check) out.push_back(f.check);
    return out;
  };
  using list = std::vector<std::string>;
  EXPECT_EQ(names("server"), (list{"configuration", "user", "files", "certificate", "store", "disk", "clock",
                                   "descriptors", "audit", "listening"}));
  EXPECT_EQ(names("gateway"), (list{"configuration", "user", "files", "certificate", "store", "disk", "clock",
                                    "descriptors", "audit", "radio", "server", "enrolment"}));
  EXPECT_EQ(names("pne"), (list{"configuration", "user", "files", "store", "disk", "clock", "descriptors",
                                "audit", "radio"}));
}

TEST_F(examined, has_one_error_for_each_mistake_in_a_configuration) {
  write("bad.yaml", "role: server\nlisen: 1\nname: ' '\n");
  const auto e = doctor::examine((folder / "bad.yaml").string(), with({}));
  EXPECT_EQ(e.count(doctor::state_t::error), e.findings.size());
  EXPECT_GE(e.findings.size(), 2U);
  EXPECT_TRUE(e.role.empty());
}

}  // namespace
}  // namespace cpns::cli
