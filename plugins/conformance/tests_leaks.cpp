// Leaks after a thousand rounds, or as many as a slow radio completes in the time.

#include "plugins/conformance/instance.hpp"
#include "plugins/conformance/process.hpp"
#include "plugins/conformance/test.hpp"

namespace cpns::conformance {
namespace {

using std::chrono::seconds;

constexpr int warm_up = 200, rounds = 1000, link_rounds = 100;
constexpr int rounds_min = 100, link_rounds_min = 10;
constexpr seconds enough{10}, warm_enough{2};

/// Opens and closes both roles. Makes the recorders of all rounds in advance, so that only the plugin's memory can
/// grow.
class opener {
 public:
  explicit opener(bench& b) : b_(b), met_(b.draw()) {
    for (int i = 0; i < warm_up + rounds; ++i)
      recorders_.emplace_back(&keep_recorder(b, CPNS_ROLE_CENTRAL), &keep_recorder(b, CPNS_ROLE_PERIPHERAL));
  }
  void warm() {
    repeat(warm_up, 20, warm_enough, [this](int) { round(); });
  }
  void round() {
    const auto [central, peripheral] = recorders_.at(next_++);
    instance c{b_, *central, CPNS_ROLE_CENTRAL, met_.central};
    instance p{b_, *peripheral, CPNS_ROLE_PERIPHERAL, met_.peripheral};
    p.close();
    c.close();
  }

 private:
  bench& b_;
  const meeting met_;
  std::vector<std::pair<recorder*, recorder*>> recorders_;
  std::size_t next_ = 0;
};

std::string each_of(std::size_t n, const char* what, int done) {
  return std::to_string(n) + " " + what + " more after " + std::to_string(done) + " rounds of open and close";
}

void no_descriptor_leaks(bench& b) {
  opener o{b};
  o.warm();
  const auto before = threads_and_files();
  const auto done = repeat(rounds, rounds_min, enough, [&](int i) {
    o.round();
    if (i % 50 != 0) return;
    const auto now = threads_and_files();
    if (now.files > before.files + 100)
      throw test_failed{"close must free the instance: there are " +
                        each_of(now.files - before.files, "descriptors", i + 1)};
  });
  const bool settled = settles({~std::size_t{0}, before.files});
  require(settled, "close must free the instance: there are " +
                       each_of(threads_and_files().files - before.files, "descriptors", done));
}

void no_thread_leaks(bench& b) {
  opener o{b};
  o.warm();
  const auto before = threads_and_files();
  const auto done = repeat(rounds, rounds_min, enough, [&](int i) {
    o.round();
    // close_raw() uses threads that end a moment later.
    if (i % 50 == 0 && threads_and_files().threads > before.threads + 20 &&
        !settles({before.threads + 20, ~std::size_t{0}}))
      throw test_failed{"close must end all threads: there are " +
                        each_of(threads_and_files().threads - before.threads, "threads", i + 1)};
  });
  const bool settled = settles({before.threads, ~std::size_t{0}});
  require(settled, "close must end all threads: there are " +
                       each_of(threads_and_files().threads - before.threads, "threads", done));
}

void no_memory_leaks(bench& b) {
  if (allocated_bytes() == 0)
    throw test_skipped{"the allocator of this build does not report the allocated memory"};
  opener o{b};
  o.warm();
  const auto before = allocated_bytes();
  const auto held = threads_and_files();
  const auto done = static_cast<std::size_t>(repeat(rounds, rounds_min, enough, [&o](int) { o.round(); }));
  leave_no_more(b, held, "open and close");
  const auto after = allocated_bytes();
  const auto grown = after > before ? after - before : 0;
  require(grown < 96 * done + 128u * 1024, "close must free the instance: " + std::to_string(grown / done) +
                                               " bytes of each round of open and close stay allocated");
}

void links_leave_nothing(bench& b) {
  pair p{b};
  p.bring_up(1);
  for (auto* i : {&p.central, &p.peripheral}) i->heard.keep_frames = false;
  const auto round = [&](std::uint64_t endpoint) {
    p.peripheral.add_endpoint(endpoint);
    p.wait_for_links(2, "an added endpoint must get a link");
    p.peripheral.remove_endpoint(endpoint);
    p.wait_for_links(1, "links of a removed endpoint must go down");
  };
  repeat(10, 3, warm_enough, [&](int i) { round(2 + static_cast<std::uint64_t>(i)); });
  const auto before = threads_and_files();
  const auto done = repeat(link_rounds, link_rounds_min, enough,
                           [&](int i) { round(100 + static_cast<std::uint64_t>(i)); });
  const bool settled = settles(before);
  require(settled, "links that went down must be freed: after " + std::to_string(done) + " links there are " +
                       difference(before, threads_and_files()));
}

constexpr test leak_list[] = {
    {"no-descriptor-leaks",
     "A thousand rounds of open and close, or ten seconds of them, leak no descriptor.", "close-returns",
     seconds{180}, no_descriptor_leaks, true},
    {"no-thread-leaks", "A thousand rounds of open and close, or ten seconds of them, leak no thread.",
     "close-returns", seconds{180}, no_thread_leaks, true},
    {"no-memory-leaks", "A thousand rounds of open and close, or ten seconds of them, leak no memory.",
     "close-returns", seconds{180}, no_memory_leaks, true},
    {"links-leave-nothing",
     "A hundred links that come up and go down, or ten seconds of them, leak no descriptor and no thread.",
     "link-comes-up", seconds{180}, links_leave_nothing, true},
};

}  // namespace

std::span<const test> leak_tests() { return leak_list; }

}  // namespace cpns::conformance
