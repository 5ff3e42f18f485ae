#include "server/gathered.hpp"

#include <gtest/gtest.h>

#include <condition_variable>
#include <thread>

namespace cpns::server {
namespace {

TEST(gathered, sends_for_the_reader_once_until_it_looks) {
  gathered<int> box;
  EXPECT_TRUE(box.put(1));
  EXPECT_FALSE(box.put(2));
  EXPECT_EQ(box.take(), (std::vector<int>{1, 2}));
  EXPECT_TRUE(box.take().empty());
  EXPECT_TRUE(box.put(3)) << "it looked since";
  EXPECT_EQ(box.take(), (std::vector<int>{3}));
}

/// Looks once for each time that it was sent for.
class reader {
 public:
  void send_for() {
    {
      std::lock_guard lock{guard_};
      ++calls_;
    }
    called_.notify_one();
  }
  void wait() {
    std::unique_lock lock{guard_};
    called_.wait(lock, [this] { return calls_ > 0; });
    --calls_;
  }

 private:
  std::mutex guard_;
  std::condition_variable called_;
  int calls_ = 0;
};

TEST(gathered, loses_nothing_and_keeps_the_order_of_each_writer) {
  constexpr int writers = 3, each = 2000;
  gathered<std::pair<int, int>> box;
  reader one;
  std::vector<std::thread> threads;
  for (int w = 0; w < writers; ++w)
    threads.emplace_back([&, w] {
      for (int i = 0; i < each; ++i)
        if (box.put({w, i})) one.send_for();
    });
  std::vector<int> next(writers, 0);
  for (int seen = 0; seen < writers * each;) {
    one.wait();
    for (const auto& [w, i] : box.take()) {
      EXPECT_EQ(i, next[static_cast<std::size_t>(w)]++);
      ++seen;
    }
  }
  for (auto& t : threads) t.join();
}

}  // namespace
}  // namespace cpns::server
