#include "server/server_metrics.hpp"

#include <iterator>
#include <string>

namespace cpns::server {
namespace {

constexpr protocol::link_status all_statuses[] = {
#define CPNS_X(id, number, meaning) protocol::link_status::id,
    CPNS_LINK_STATUSES(CPNS_X)
#undef CPNS_X
};

constexpr const char* report_outcomes[] = {"ok", "not_holder", "resync", "not_done"};
constexpr std::size_t not_done = 3;

constexpr const char* bounds[] = {"wait",   "gateway",  "server", "user",
                                  "entity", "entities", "slow",   "memory"};

}  // namespace

server_metrics::server_metrics(metrics::registry& in)
    : entities(in.make_gauge("cpns_server_entities_live", "Entities that are in memory.")),
      bad_frames(
          in.make_counter("cpns_server_bad_frames_total", "Frames of gateways that could not be decoded.")) {
  static_assert(std::size(all_statuses) == statuses);
  for (const auto status : all_statuses)
    assignments_.at(static_cast<std::size_t>(status)) =
        in.make_counter("cpns_server_assignments_total",
                        "Answers to key assignment requests by outcome: ok, or the status of the refusal.",
                        {{"outcome", std::string{name_of(status)}}});
  for (std::size_t i = 0; i < report_entries_.size(); ++i)
    report_entries_[i] =
        in.make_counter("cpns_server_report_entries_total",
                        "Reported epochs by outcome; not_done: the gateway reports them again.",
                        {{"outcome", report_outcomes[i]}});
  static_assert(std::size(bounds) == std::tuple_size_v<decltype(refused_)>);
  for (std::size_t i = 0; i < refused_.size(); ++i)
    refused_[i] = in.make_counter(
        "cpns_server_refused_total",
        "Requests that were answered overloaded, by the bound: wait (limits.wait), gateway "
        "(limits.jobs_per_gateway), server (limits.jobs), user (limits.jobs_per_user), entity "
        "(limits.jobs_per_entity), entities (limits.entities_live), slow (the store does not answer), memory "
        "(what the connections hold together).",
        {{"bound", bounds[i]}});
  const auto step = [&in](const char* name) {
    return in.make_histogram("cpns_server_assignment_seconds",
                             "Time of the steps of a key assignment: wait (for the turn), proof (until the "
                             "user's proof is checked), "
                             "queue (until the entity's turn), store (until the set is durable), whole.",
                             metrics::seconds_buckets, {{"step", name}});
  };
  waited = step("wait");
  checked = step("proof");
  queued = step("queue");
  stored = step("store");
  whole = step("whole");
}

void server_metrics::assigned(protocol::link_status outcome) const {
  if (const auto at = static_cast<std::size_t>(outcome); at < statuses) assignments_[at].add();
}

void server_metrics::reported(std::optional<protocol::report_outcome> outcome, std::uint64_t entries) const {
  const auto at = outcome ? static_cast<std::size_t>(*outcome) : not_done;
  if (at < report_entries_.size()) report_entries_[at].add(entries);
}

}  // namespace cpns::server
