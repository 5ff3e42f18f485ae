// Two servers of one store: one of them works on the imports, and the other one goes on when that is gone.
#include <limits>
#include <thread>

#include "server/import_lease.hpp"
#include "tests/unit/server/import_harness.hpp"

namespace cpns::server_tests {
namespace {

using protocol::import_state;
using server::device_imports;
using server::import_lease;

testing::AssertionResult soon(const std::function<bool()>& holds) {
  const auto until = std::chrono::steady_clock::now() + seconds{30};
  while (std::chrono::steady_clock::now() < until) {
    if (holds()) return testing::AssertionSuccess();
    std::this_thread::yield();
  }
  return testing::AssertionFailure() << "not within 30 seconds";
}

/// 0 if the store does not answer.
std::size_t devices_in(const storage::sealed_store& store) {
  std::size_t n = 0;
  const auto done =
      store.scan(storage::table::devices, {}, [&n](byte_view, const secret_bytes&) { return ++n > 0; });
  return done ? n : 0;
}

/// A server of the store, which may be cut off from it.
struct importer {
  importer(storage::store& memory, const storage::key_protector& protector, const std::string& name)
      : faulty(memory),
        sealed(storage::sealed_store::open(faulty, protector, crypto::system_entropy()).value()) {
    imports = device_imports::open(
                  *sealed, crypto::openssl_suite(), crypto::system_entropy(),
                  {.write = write(), .server = name, .lease = {milliseconds{50}, milliseconds{500}}})
                  .value();
    imports->record_in(&log);
  }
  /// Once there are `cut_at` devices, the store does not answer this server any more.
  server::durable_write write() {
    return [this](const storage::sealed_batch& batch) {
      if (devices_in(*sealed) >= cut_at) {
        faulty.fail_writes(errc::store_unavailable);
        faulty.fail_reads(errc::store_unavailable);
      }
      return sealed->write(batch);
    };
  }
  [[nodiscard]] std::string state(const std::string& name) const {
    const auto found = imports->find(name);
    return found ? std::string{found->state()} : "unknown";
  }
  static constexpr std::size_t never = std::numeric_limits<std::size_t>::max();
  std::atomic<std::size_t> cut_at = never;
  storage::faulty_store faulty;
  std::unique_ptr<storage::sealed_store> sealed;
  decision_log log;
  std::unique_ptr<device_imports> imports;
};

struct two_importers : ::testing::Test {
  storage::memory_store memory{true};
  std::unique_ptr<storage::key_protector> protector = test::key_file_protector(crypto::system_entropy());
  importer one{memory, *protector, "north"}, two{memory, *protector, "south"};
  api::change who{{}, "r-1", "device-import", {}, nullptr, nullptr};

  [[nodiscard]] std::size_t devices() const { return devices_in(*two.sealed); }
};

TEST_F(two_importers, show_the_imports_of_each_other_and_change_them_at_one_server) {
  ASSERT_TRUE(one.imports->create("lot7", {}));
  ASSERT_TRUE(one.imports->receive("lot7", 0, source_of(list_of(10))));
  EXPECT_TRUE(
      soon([&] { return two.imports->find("lot7") && two.imports->find("lot7")->record.good == 10; }));
  for (const auto& refused :
       {status{two.imports->forget("lot7")}, two.imports->create("lot8", {}).map([](const auto&) {}),
        two.imports->finish("lot7", who).map([](const auto&) {})}) {
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, errc::state_conflict);
    EXPECT_NE(refused.error().detail.find("north"), std::string::npos) << refused.error().detail;
  }
  ASSERT_TRUE(one.imports->finish("lot7", who));
  EXPECT_EQ(one.imports->wait("lot7")->record.state, import_state::done);
  EXPECT_TRUE(soon([&] { return two.state("lot7") == "done"; }));
  EXPECT_TRUE(soon([&] { return two.imports->create("lot8", {}).has_value(); })) << "nothing is open";
  EXPECT_EQ(one.imports->create("lot9", {}).error().code, errc::state_conflict);
  EXPECT_EQ(devices(), 10U);
}

TEST_F(two_importers, go_on_with_the_import_of_a_server_that_is_cut_off) {
  constexpr int all = 2000;
  ASSERT_TRUE(one.imports->create("lot7", {}));
  ASSERT_TRUE(one.imports->receive("lot7", 0, source_of(list_of(all))));
  one.cut_at = 400;
  ASSERT_TRUE(one.imports->finish("lot7", who));
  EXPECT_TRUE(soon([&] { return two.state("lot7") == "done"; }));
  EXPECT_EQ(devices(), static_cast<std::size_t>(all));
  EXPECT_EQ(two.imports->find("lot7")->record.imported, static_cast<std::uint64_t>(all));
  one.cut_at = importer::never;
  one.faulty.repair();
  EXPECT_TRUE(soon([&] { return one.state("lot7") == "done"; })) << "it follows, and writes nothing";
  EXPECT_EQ(one.imports->find("lot7")->record.imported, static_cast<std::uint64_t>(all));
  EXPECT_EQ(one.log.ends.size(), 1U);
}

TEST_F(two_importers, go_on_at_once_when_a_server_ends) {
  ASSERT_TRUE(one.imports->create("lot7", {}));
  ASSERT_TRUE(one.imports->receive("lot7", 0, source_of(list_of(10))));
  one.imports.reset();
  ASSERT_TRUE(two.imports->finish("lot7", who)) << "the lease was given back";
  EXPECT_EQ(two.imports->wait("lot7")->record.state, import_state::done);
}

struct leases : ::testing::Test {
  storage::memory_store memory{true};
  std::unique_ptr<storage::key_protector> protector = test::key_file_protector(crypto::system_entropy());
  std::unique_ptr<storage::sealed_store> sealed =
      storage::sealed_store::open(memory, *protector, crypto::system_entropy()).value();
  std::chrono::steady_clock::time_point now{seconds{100}};

  import_lease lease(const std::string& server) {
    return {*sealed, server::write_to(*sealed), crypto::system_entropy(), server, {}, [this] { return now; }};
  }
  static storage::sealed_batch note(std::string_view text) {
    return {{storage::table::imports, to_bytes(as_bytes("note")), secret_bytes::from_text(text)}};
  }
  std::string noted() {
    const auto found = sealed->get(storage::table::imports, as_bytes("note")).value();
    return found ? std::string{as_text(found->expose())} : "";
  }
};

TEST_F(leases, lapse_when_their_holder_does_not_write) {
  auto one = lease("north"), two = lease("south");
  ASSERT_TRUE(one.take());
  ASSERT_TRUE(one.write(note("one")));
  EXPECT_EQ(two.take().error().code, errc::state_conflict);
  for (int i = 0; i < 4; ++i) {
    now += seconds{5};
    ASSERT_TRUE(one.look()) << "renews it";
    EXPECT_EQ(two.take().error().code, errc::state_conflict);
  }
  now += seconds{15};
  EXPECT_TRUE(two.take());
  ASSERT_TRUE(two.write(note("two")));
  EXPECT_EQ(one.write(note("late")).error().code, errc::state_conflict);
  EXPECT_EQ(noted(), "two");
  EXPECT_FALSE(one.held());
}

TEST_F(leases, do_not_take_a_lost_race_of_another_row_for_their_loss) {
  auto one = lease("north");
  ASSERT_TRUE(one.take());
  auto late = note("late");
  late.front().expected = 7;
  EXPECT_EQ(one.write(late).error().code, errc::store_conflict);
  EXPECT_TRUE(one.held());
  EXPECT_TRUE(one.write(note("one")));
}

}  // namespace
}  // namespace cpns::server_tests
