#include "cli/transport_check.hpp"

#include <iostream>
#include <sstream>

#include "cli/commands.hpp"
#include "cli/demo/demo.hpp"
#include "cli/signals.hpp"

namespace cpns::cli {
namespace {

constexpr std::uint32_t pnes = 3, rekey_seconds = 2;

/// What is printed on a stream while this lives.
class overheard {
 public:
  explicit overheard(std::ostream& s) : stream_(s), before_(s.rdbuf(text_.rdbuf())) {}
  ~overheard() { stream_.rdbuf(before_); }
  overheard(const overheard&) = delete;
  overheard& operator=(const overheard&) = delete;
  [[nodiscard]] std::string last_line() const {
    std::string all = text_.str();
    while (!all.empty() && all.back() == '\n') all.pop_back();
    const auto begin = all.rfind('\n');
    return begin == std::string::npos ? all : all.substr(begin + 1);
  }

 private:
  std::ostream& stream_;
  std::ostringstream text_;
  std::streambuf* before_;
};

void key_assignment(conformance::bench& b) {
  const auto met = b.draw();
  demo_options o;
  o.pnes = pnes;
  o.transport = b.on.file;
  o.rekey_seconds = rekey_seconds;
  o.json = true;
  o.params = met.central;
  o.peer_params = met.peripheral;
  block_signals();
  b.step("a key assignment with all roles in one process");
  int code = exit_failed;
  std::string why;
  {
    const overheard out{std::cout}, err{std::cerr};
    code = run_demo(o);
    why = err.last_line();
  }
  conformance::require(code == exit_done,
                       "three PNEs get keys, one is updated and one woken: " +
                           (why.empty() ? "the roles ended with exit code " + std::to_string(code) : why));
}

}  // namespace

std::vector<conformance::test> transport_tests() {
  auto out = conformance::all_tests();
  out.push_back({"key-assignment",
                 "Server, gateway and three PNEs over it: keys for all, a periodic update, a wake-up.",
                 "link-comes-up", std::chrono::seconds{150}, key_assignment, true});
  return out;
}

}  // namespace cpns::cli
