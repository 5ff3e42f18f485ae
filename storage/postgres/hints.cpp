#include "storage/postgres/hints.hpp"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>

#include "base/log.hpp"
#include "crypto/suite.hpp"

namespace cpns::storage::postgres {

namespace {

constexpr milliseconds first_hint_pause{100};
constexpr milliseconds longest_hint_pause{5000};
/// A frozen server acknowledges TCP, and would never be noticed by a connection that only listens.
constexpr milliseconds probe_interval{5000};
constexpr milliseconds suspicion_interval{500};

std::string drawn_name() { return to_hex(crypto::system_entropy().draw<8>()); }

outcome<void> run_hint_statement(connection& on, const statement& what, std::vector<std::string> parameters,
                                 milliseconds limit) {
  const query q{&what, std::move(parameters)};
  CPNS_CHECK(on.run({&q, 1}, limit));
  return {};
}

}  // namespace

hints::hints(const postgres_settings& s, dialer& hosts)
    : settings_(s), hosts_(hosts), can_(s.statements == postgres_statements::batch), own_(drawn_name()),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

hints::~hints() {
  stopping_ = true;
  wake();
  if (thread_.joinable()) thread_.join();
}

void hints::wake() const {
  const std::uint64_t one = 1;
  // Only a full counter refuses it, which wakes, too.
  [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof one);
}

void hints::start() {
  {
    const std::lock_guard lock(guard_);
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  }
  wake();
}

void hints::tell() {
  if (!can_ || !wake_.valid()) return;
  if (!told_.exchange(true)) start();
}

std::shared_ptr<void> hints::listen(const std::function<void()>& heard) {
  if (!can_ || !wake_.valid()) return {};
  auto out = board_.add(heard);
  listens_ = true;
  start();
  return out;
}

std::optional<hint_statistics> hints::statistics() const {
  if (!can_ || !wake_.valid()) return std::nullopt;
  return hint_statistics{state(), notified_, heard_};
}

hint_state hints::state() const { return can_ && listens_ ? hears_.load() : hint_state::off; }

void hints::rest(milliseconds time) {
  const auto until = steady::now() + time;
  while (!stopping_) {
    const auto left = std::chrono::ceil<milliseconds>(until - steady::now());
    if (left.count() <= 0) return;
    pollfd waiting{wake_.get(), POLLIN, 0};
    ::poll(&waiting, 1, static_cast<int>(left.count()));
    std::uint64_t count = 0;
    [[maybe_unused]] const auto got = ::read(wake_.get(), &count, sizeof count);
  }
}

void hints::run() {
  auto hint_rest = first_hint_pause;
  while (true) {
    const auto began = steady::now();
    const auto why = serve();
    if (!why || stopping_) return;
    const bool refused = why->kind == trouble::schema || why->kind == trouble::other;
    hears_ = refused ? hint_state::refused : hint_state::away;
    if (refused)
      log::info("store", "hints-refused",
                "the database takes no hints, so changes of other servers count a little later",
                {{"why", why->detail}});
    if (steady::now() - began > longest_hint_pause) hint_rest = first_hint_pause;
    rest(refused ? refused_pause : hint_rest);
    hint_rest = std::min(hint_rest * 2, longest_hint_pause);
    if (stopping_) return;
  }
}

outcome<void> hints::notify(connection& on) {
  static const statement tell_all{"", "SELECT pg_notify('" + std::string(channel) + "', $1::text)"};
  told_ = false;
  auto done = run_hint_statement(on, tell_all, {own_}, settings_.statement);
  sent_ = steady::now();
  if (done)
    ++notified_;
  else
    told_ = true;
  return done;
}

outcome<void> hints::hear(connection& on, steady::time_point until) {
  CPNS_TRY(const auto payloads, on.notifications(wake_.get(), until));
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = ::read(wake_.get(), &count, sizeof count);
  const auto of_others =
      std::count_if(payloads.begin(), payloads.end(), [this](const auto& p) { return p != own_; });
  heard_ += static_cast<std::uint64_t>(of_others);
  if (of_others > 0) board_.ring();
  return {};
}

outcome<void> hints::begin_to_listen(connection& on) {
  static const statement listen_to{"", "LISTEN " + std::string(channel)};
  CPNS_CHECK(run_hint_statement(on, listen_to, {}, settings_.statement));
  hears_ = hint_state::on;
  board_.ring();
  return {};
}

std::optional<failure> hints::serve() {
  static const statement probe{"", "SELECT 1"};
  const auto suspicions = hosts_.suspicions();
  auto on = hosts_.dial();
  if (!on) return on.error();
  bool listens = false;
  auto probed = steady::now();
  while (suspicions == hosts_.suspicions()) {
    outcome<void> done;
    const auto now = steady::now();
    if (listens_ && !listens) {
      listens = true;
      done = begin_to_listen(**on);
    } else if (told_ && (stopping_ || now - sent_ >= gap)) {
      done = notify(**on);
    } else if (stopping_) {
      return std::nullopt;
    } else if (now - probed >= probe_interval) {
      probed = now;
      done = run_hint_statement(**on, probe, {}, settings_.statement);
    } else {
      done = hear(**on, told_ ? sent_ + gap : now + suspicion_interval);
    }
    if (!done) return done.error();
  }
  return failure{trouble::lost, errc::store_unavailable, "another connection missed a limit"};
}

}  // namespace cpns::storage::postgres
