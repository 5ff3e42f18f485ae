#pragma once
// A simulated gateway that repeats its requests as a real one does (actors/pn_gw/server_link.cpp).

#include <map>
#include <optional>
#include <queue>
#include <set>
#include <unordered_map>
#include <vector>

#include "actors/pn_gw/send_window.hpp"
#include "bench/gateway_files.hpp"
#include "bench/gateway_link.hpp"
#include "bench/load_rows.hpp"
#include "tests/unit/server_machine/people.hpp"

namespace cpns::bench {

/// What all gateways count. Latencies are in units of 10 us.
struct overload_totals {
  std::uint64_t offered = 0;            ///< requests that became due
  std::uint64_t sent = 0;               ///< frames, repetitions included
  std::uint64_t granted = 0;            ///< requests that were answered with keys, each once
  std::uint64_t refused = 0;            ///< answers "overloaded"
  std::uint64_t faults = 0;             ///< other refusals
  std::uint64_t gave_up = 0;            ///< requests older than request_age_max, or unanswered twice
  std::uint64_t timeouts = 0;           ///< frames without an answer within request_timeout
  std::uint64_t lost = 0;               ///< connections
  std::uint64_t asked_for = 0;          ///< seconds of all retry_after
  std::vector<std::uint32_t> accepted;  ///< from the frame that was answered with keys
  std::vector<std::uint32_t> whole;     ///< from the time at which the request was due
  std::vector<std::uint32_t> refusals;  ///< from the frame to its refusal
};

/// Used on one thread.
class patient_gateway {
 public:
  // As in actors/pn_gw: server_link_state.hpp, and the defaults of a gateway's configuration.
  static constexpr std::size_t requests_max = 128;
  static constexpr int sends_max = 2;
  static constexpr seconds request_age_max{30}, request_timeout{10};
  static constexpr seconds link_period{1}, unsent_age_max{5};

  patient_gateway(boost::asio::io_context& io, crypto::tls_context tls, int number, overload_totals& t)
      : link_(io, std::move(tls),
              {[this](protocol::link_answer& a) { answered(a); }, [this] { pump(clock::now()); },
               [this] { lose(); }}),
        gw_(testing_people::gateway_named(uri_of(number))), user_(user_of(number)), totals_(t) {}

  status connect(const gateway_link::tcp::endpoint& to) {
    CPNS_TRY(exporter_, link_.connect(to));
    protocol::link_request r;
    r.id = crypto::system_entropy().draw_id<request_id>();
    r.body = protocol::issuer_nonce_request{};
    link_.send(r);
    return {};
  }
  [[nodiscard]] bool ready() const { return nonce_.has_value(); }
  [[nodiscard]] std::size_t pending() const { return requests_.size(); }

  /// Asks for the first keys of a device.
  void offer(clock::time_point due, std::uint64_t device_number) {
    ++totals_.offered;
    const auto order = next_++;
    request q;
    q.due = due;
    q.device = device_number;
    q.frame.id = crypto::system_entropy().draw_id<request_id>();
    by_id_.emplace(q.frame.id, order);
    requests_.emplace(order, std::move(q));
    can_go_.insert(order);
    pump(due);
  }
  /// Called about every millisecond: each link_period it looks for what is too old, unanswered, or due again.
  void look(clock::time_point now) {
    if (now < next_look_) return;
    next_look_ = now + link_period;
    std::vector<std::uint64_t> over;
    for (auto& [order, q] : requests_)
      if (now - q.due > request_age_max || is_hopeless(q, now) || is_overdue(order, q, now))
        over.push_back(order);
    for (const auto order : over) give_up(order);
    pump(now);
  }
  /// So that not all gateways look at the same time.
  void first_look(clock::time_point at) { next_look_ = at; }

 private:
  struct request {
    clock::time_point due{}, sent{};  ///< sent: zero if it is not in flight
    int sends = 0;
    std::uint64_t device = 0;
    protocol::link_request frame;
    bool signed_ = false;
  };
  using later = std::pair<clock::time_point, std::uint64_t>;

  [[nodiscard]] bool is_hopeless(const request& q, clock::time_point now) const {
    return window_.reduced() && !q.signed_ && now - q.due > unsent_age_max;
  }
  /// True: it was unanswered for the last time.
  bool is_overdue(std::uint64_t order, request& q, clock::time_point now) {
    if (q.sent == clock::time_point{} || now - q.sent <= request_timeout) return false;
    ++totals_.timeouts;
    if (q.sends >= sends_max) return true;
    land(q);
    can_go_.insert(order);
    return false;
  }
  void land(request& q) {
    q.sent = {};
    --in_flight_;
  }
  void give_up(std::uint64_t order) {
    ++totals_.gave_up;
    finish(order);
  }
  void finish(std::uint64_t order) {
    const auto at = requests_.find(order);
    if (at->second.sent != clock::time_point{}) land(at->second);
    by_id_.erase(at->second.frame.id);
    can_go_.erase(order);
    requests_.erase(at);
  }

  void pump(clock::time_point now) {
    for (; !delayed_.empty() && delayed_.top().first <= now; delayed_.pop())
      if (requests_.count(delayed_.top().second) != 0) can_go_.insert(delayed_.top().second);
    while (nonce_ && !lost_ && !can_go_.empty() && in_flight_ < window_.limit()) {
      auto& q = requests_.at(*can_go_.begin());
      can_go_.erase(can_go_.begin());
      if (!q.signed_) sign(q);
      q.sent = clock::now();
      ++q.sends;
      ++in_flight_;
      ++totals_.sent;
      link_.send(q.frame);
    }
  }
  void sign(request& q) {
    auto h = device(q.device);
    auto body = make_request(user_, h, protocol::assignment_reason::first, h.answer(gw_, nonce_));
    prove(body, user_, exporter_);
    q.frame.body = std::move(body);
    q.signed_ = true;
  }

  void answered(protocol::link_answer& a) {
    nonce_ = a.issuer_nonce;
    const auto at = by_id_.find(a.id);
    if (at == by_id_.end()) return;
    const auto order = at->second;
    auto& q = requests_.at(order);
    const auto now = clock::now();
    if (const auto* no = std::get_if<protocol::refusal>(&a.body)) return refused(order, q, *no, now);
    window_.answered();
    ++totals_.granted;
    if (q.sent != clock::time_point{}) totals_.accepted.push_back(units(now - q.sent));
    totals_.whole.push_back(units(now - q.due));
    finish(order);
  }
  void refused(std::uint64_t order, request& q, const protocol::refusal& no, clock::time_point now) {
    if (no.status != protocol::link_status::overloaded) {
      if (totals_.faults++ == 0) std::fprintf(stderr, "refused: %s\n", no.reason.c_str());
      return finish(order);
    }
    if (q.sent == clock::time_point{}) return;
    ++totals_.refused;
    totals_.asked_for += no.retry_after;
    totals_.refusals.push_back(units(now - q.sent));
    window_.refused(q.sent, now);
    const auto again = now + seconds{no.retry_after};
    if (again - q.due >= request_age_max) return give_up(order);
    land(q);
    q.sends = 0;
    delayed_.emplace(again, order);
  }
  void lose() {
    lost_ = true;
    ++totals_.lost;
  }
  static std::uint32_t units(clock::duration d) {
    return static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::microseconds>(d).count() / 10);
  }

  gateway_link link_;
  const gateway_id gw_;
  const testing_people::person user_;
  overload_totals& totals_;
  secret32 exporter_;
  std::optional<protocol::nonce16> nonce_;
  std::map<std::uint64_t, request> requests_;  ///< by the order in which they came
  std::unordered_map<request_id, std::uint64_t> by_id_;
  std::set<std::uint64_t> can_go_;  ///< the oldest is sent first
  std::priority_queue<later, std::vector<later>, std::greater<>> delayed_;
  std::size_t in_flight_ = 0;
  actors::send_window<clock::time_point> window_{requests_max};
  std::uint64_t next_ = 0;
  clock::time_point next_look_{};
  bool lost_ = false;
};

}  // namespace cpns::bench
