#include "actors/pn_gw/strangers.hpp"

#include "actors/pn_gw/actors.hpp"

namespace cpns::actors {
namespace {

constexpr milliseconds line_interval{100};
constexpr int debug_burst = 1000;
constexpr seconds summary_interval{10};

}  // namespace

time_point shared_claimants::not_before(const entity_id& entity, std::string_view claimant) const {
  std::lock_guard lock{guard_};
  return book_.not_before(entity, claimant);
}
unsigned shared_claimants::refusals(const entity_id& entity, std::string_view claimant) const {
  std::lock_guard lock{guard_};
  return book_.refusals(entity, claimant);
}
void shared_claimants::refused(time_point now, const entity_id& entity, std::string_view claimant,
                               const protocol::claimant_wait& wait, entropy& random) {
  std::lock_guard lock{guard_};
  book_.refused(now, entity, claimant, wait, random);
}
void shared_claimants::accepted(const entity_id& entity, std::string_view claimant) {
  std::lock_guard lock{guard_};
  book_.accepted(entity, claimant);
}
bool shared_claimants::take_request(time_point now, const entity_id& entity) {
  std::lock_guard lock{guard_};
  return book_.take_request(now, entity);
}
time_point shared_claimants::next_request(time_point now, const entity_id& entity) const {
  std::lock_guard lock{guard_};
  return book_.next_request(now, entity);
}

unproven_lines::unproven_lines(int burst)
    : lines_(line_interval, burst), debug_lines_(line_interval, debug_burst),
      summaries_(summary_interval, 1) {}

void unproven_lines::write(time_point now, log::level l, std::string_view event, std::string_view text,
                           std::initializer_list<log::field> fields) {
  if (log::enabled(l, gateway_component) && take(now, l))
    log::write(l, gateway_component, event, text, fields);
}

bool unproven_lines::take(time_point now, log::level l) {
  std::lock_guard lock{guard_};
  const bool granted = l == log::level::debug ? debug_lines_.take(now) : lines_.take(now);
  if (!granted) {
    ++since_summary_;
    ++all_;
  }
  if (since_summary_ > 0 && summaries_.take(now)) {
    log::info(gateway_component, "lines-left-out",
              "too many lines about unverified peers; some were not written",
              {{"count", std::to_string(since_summary_)}});
    since_summary_ = 0;
  }
  return granted;
}

}  // namespace cpns::actors
