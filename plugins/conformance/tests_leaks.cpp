// What is left after a thousand rounds.

#include "plugins/conformance/instance.hpp"
#include "plugins/conformance/process.hpp"
#include "plugins/conformance/test.hpp"

namespace cpns::conformance {
namespace {

using std::chrono::seconds;

constexpr int warm_up = 200, rounds = 1000, link_rounds = 100;

/// Opens and closes both roles. The recorders of all rounds are made before, so that what grows is the
/// plugin's.
class opener {
 public:
  explicit opener(bench& b) : b_(b), met_(b.draw()) {
    for (int i = 0; i < warm_up + rounds; ++i)
      recorders_.emplace_back(&keep_recorder(b, CPNS_ROLE_CENTRAL), &keep_recorder(b, CPNS_ROLE_PERIPHERAL));
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

std::string each_of(std::size_t n, const char* what) {
  return std::to_string(n) + " " + what + " more after " + std::to_string(rounds) +
         " rounds of open and close";
}

void no_descriptor_leaks(bench& b) {
  opener o{b};
  for (int i = 0; i < warm_up; ++i) o.round();
  const auto before = threads_and_files();
  for (int i = 0; i < rounds; ++i) {
    o.round();
    if (i % 50 != 0) continue;
    const auto now = threads_and_files();
    if (now.files > before.files + 100)
      throw test_failed{"close frees the instance: there are " + std::to_string(now.files - before.files) +
                        " descriptors more after " + std::to_string(i + 1) + " rounds of open and close"};
  }
  const bool settled = settles({~std::size_t{0}, before.files});
  require(settled, "close frees the instance: there are " +
                       each_of(threads_and_files().files - before.files, "descriptors"));
}

void no_thread_leaks(bench& b) {
  opener o{b};
  for (int i = 0; i < warm_up; ++i) o.round();
  const auto before = threads_and_files();
  for (int i = 0; i < rounds; ++i) {
    o.round();
    // Closed in threads that end a moment later.
    if (i % 50 == 0 && threads_and_files().threads > before.threads + 20 &&
        !settles({before.threads + 20, ~std::size_t{0}}))
      break;
  }
  const bool settled = settles({before.threads, ~std::size_t{0}});
  require(settled, "close ends threads: there are " +
                       each_of(threads_and_files().threads - before.threads, "threads"));
}

void no_memory_leaks(bench& b) {
  if (allocated_bytes() == 0) throw test_skipped{"the allocator of this build does not tell what is in use"};
  opener o{b};
  for (int i = 0; i < warm_up; ++i) o.round();
  const auto before = allocated_bytes();
  const auto held = threads_and_files();
  for (int i = 0; i < rounds; ++i) o.round();
  leave_no_more(b, held, "open and close");
  const auto after = allocated_bytes();
  const auto grown = after > before ? after - before : 0;
  require(grown < 96 * rounds + 128u * 1024, "close frees the instance: " + std::to_string(grown / rounds) +
                                                 " bytes of each round of open and close stay allocated");
}

void links_leave_nothing(bench& b) {
  pair p{b};
  p.bring_up(1);
  for (auto* i : {&p.central, &p.peripheral}) i->heard.keep_frames = false;
  const auto round = [&](std::uint64_t endpoint) {
    p.peripheral.add_endpoint(endpoint);
    p.wait_for_links(2, "an endpoint that is added gets a link");
    p.peripheral.remove_endpoint(endpoint);
    p.wait_for_links(1, "links of an endpoint that was removed go down");
  };
  for (std::uint64_t e = 2; e < 12; ++e) round(e);
  const auto before = threads_and_files();
  for (int i = 0; i < link_rounds; ++i) round(100 + static_cast<std::uint64_t>(i));
  const bool settled = settles(before);
  require(settled, "links that went down are freed: after " + std::to_string(link_rounds) + " there are " +
                       difference(before, threads_and_files()));
}

constexpr test tests[] = {
    {"no-descriptor-leaks", "A thousand rounds of open and close leave no descriptor.", "close-returns",
     seconds{180}, no_descriptor_leaks, true},
    {"no-thread-leaks", "A thousand rounds of open and close leave no thread.", "close-returns", seconds{180},
     no_thread_leaks, true},
    {"no-memory-leaks", "A thousand rounds of open and close leave no memory.", "close-returns", seconds{180},
     no_memory_leaks, true},
    {"links-leave-nothing", "A hundred links that came and went leave no descriptor and no thread.",
     "link-comes-up", seconds{180}, links_leave_nothing, true},
};

}  // namespace

std::span<const test> leak_tests() { return tests; }

}  // namespace cpns::conformance
