#include "audit/gateway_states.hpp"

#include <boost/json.hpp>
#include <string_view>
#include <utility>

#include "protocol/pn_gw/device_record.hpp"

namespace cpns::audit {
namespace {

using pne_row = std::optional<protocol::device_record>;

result<pne_row> row_of_pne(const storage::sealed_store& store, const std::string& entity) {
  if (entity.empty() || entity.size() > storage::max_sealed_row_size)
    return fail(errc::config_usage, "the name of the PNE is not known");
  CPNS_TRY(const auto found, store.get(storage::table::peers, as_bytes(entity)));
  if (!found) return pne_row{};
  CPNS_TRY(auto r, protocol::decode_device_record(found->expose()));
  return pne_row{std::move(r)};
}

/// The state in the line, empty if it has none.
std::string_view state_before(const unfinished& u) {
  const auto* o = u.before.if_object();
  const auto* state = o == nullptr ? nullptr : o->if_contains("state");
  if (state == nullptr || !state->is_string()) return {};
  return {state->get_string().data(), state->get_string().size()};
}

/// A person was asked, or had said the contrary: a decision changes the row.
outcome judge_decision(bool is_so, bool was_open, const boost::json::value& now) {
  if (!is_so) return {verdict::not_done, "the store does not have the decision", now};
  if (was_open) return {verdict::done, {}, now};
  return {verdict::unknown, "the PNE may have been in this state before", now};
}

outcome judge_forgotten(const pne_row& r, const boost::json::value& now) {
  if (!r) return {verdict::done, {}, now};
  if (r->generation != 0) return {verdict::not_done, "the store has the keys of the PNE", now};
  return {verdict::unknown, "the PNE may have been detected again, as a new one", now};
}

outcome judge_pne(const storage::sealed_store& store, const unfinished& u) {
  const auto r = row_of_pne(store, u.object);
  if (!r) return {verdict::unknown, "the store cannot be read: " + r.error().message()};
  const bool is_approved = *r && (*r)->approved;
  const bool is_rejected = *r && (*r)->standing == protocol::device_standing::rejected;
  boost::json::value now = nullptr;
  if (*r) now = boost::json::object{{"approved", is_approved}, {"rejected", is_rejected}};
  const auto before = state_before(u);
  if (u.action == pne_approve) return judge_decision(is_approved, before == "awaiting_approval", now);
  if (u.action == pne_reject)
    return judge_decision(is_rejected, !before.empty() && before != "rejected", now);
  return judge_forgotten(*r, now);
}

}  // namespace

resolver resolve_in_gateway_store(const storage::sealed_store& store) {
  return [&store](const unfinished& u) -> outcome {
    if (u.action == pne_approve || u.action == pne_reject || u.action == pne_forget)
      return judge_pne(store, u);
    return {verdict::unknown, "the store does not tell what became of this change"};
  };
}

}  // namespace cpns::audit
