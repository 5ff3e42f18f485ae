// Changes of one table have turns, and an import takes one for each of its writes.
#include <atomic>
#include <thread>

#include "server/change_turns.hpp"
#include "tests/unit/server/import_harness.hpp"

namespace cpns::server_tests {
namespace {

using server::change_turns;

template <class Condition>
void wait_until(Condition came) {
  while (!came()) std::this_thread::yield();
}

TEST(change_turns, come_in_the_order_of_the_calls) {
  const auto turns = change_turns::make();
  auto mine = turns->next(seconds{0});
  ASSERT_NE(mine, nullptr);
  std::vector<int> order;  // changed in a turn alone
  std::vector<std::thread> others;
  for (int i = 0; i < 4; ++i) {
    others.emplace_back([&, i] {
      const auto turn = turns->next(seconds{60});
      order.push_back(i);
    });
    wait_until([&] { return turns->waiting() == static_cast<std::size_t>(i + 1); });
  }
  EXPECT_TRUE(order.empty());
  mine.reset();
  for (auto& t : others) t.join();
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3}));
}

TEST(change_turns, go_on_behind_a_call_that_gave_up) {
  const auto turns = change_turns::make();
  auto mine = turns->next(seconds{0});
  EXPECT_EQ(turns->next(milliseconds{1}), nullptr);
  EXPECT_EQ(turns->waiting(), 0U);
  std::atomic<bool> came = false;
  std::thread patient([&] { came = turns->next(seconds{60}) != nullptr; });
  wait_until([&] { return turns->waiting() == 1; });
  EXPECT_FALSE(came);
  mine.reset();
  patient.join();
  EXPECT_TRUE(came);
  EXPECT_NE(turns->next(seconds{0}), nullptr) << "the turn of the thread has ended";
}

TEST(imports, leave_out_a_device_that_an_administrator_adds_while_they_write) {
  import_harness h;
  auto adding = h.device_turns->next(seconds{0});  // the administrator found no such device
  ASSERT_TRUE(h.imports->create("lot7", {}));
  ASSERT_TRUE(h.imports->receive("lot7", 0, source_of(list_of(3))));
  ASSERT_TRUE(h.imports->finish("lot7", h.who));
  wait_until([&] { return h.device_turns->waiting() == 1 || h.imports->find("lot7")->ended(); });
  EXPECT_EQ(h.devices(), 0U) << "the import waits for its turn";
  protocol::device_secret_record own;
  own.entity = entity_id::parse(device_name(1)).value();
  own.batch = "by hand";
  ASSERT_TRUE(
      h.sealed->write({{storage::table::devices, to_bytes(as_bytes(own.entity.text())), encode(own)}}));
  adding.reset();
  const auto end = h.imports->wait("lot7").value();
  EXPECT_EQ(end.record.imported, 2U);
  EXPECT_EQ(end.record.bad, 1U);
  ASSERT_TRUE(h.device(1));
  EXPECT_EQ(h.device(1)->batch, "by hand") << "the device keeps its key";
}

TEST(imports, end_while_they_wait_for_their_turn) {
  import_harness h;
  const auto adding = h.device_turns->next(seconds{0});
  ASSERT_TRUE(h.imports->create("lot7", {}));
  ASSERT_TRUE(h.imports->receive("lot7", 0, source_of(list_of(3))));
  ASSERT_TRUE(h.imports->finish("lot7", h.who));
  wait_until([&] { return h.device_turns->waiting() == 1; });
  h.imports->stop();
  EXPECT_EQ(h.devices(), 0U);
}

}  // namespace
}  // namespace cpns::server_tests
