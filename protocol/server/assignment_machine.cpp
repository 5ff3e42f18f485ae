#include "protocol/server/assignment_machine.hpp"

#include <deque>

#include "base/log.hpp"
#include "protocol/codec.hpp"
#include "protocol/server/assignment_rules.hpp"

namespace cpns::protocol {
namespace {

using detail::evidence;
using trigger = assignment_trigger;

/// The current request, from its arrival to the decision.
struct pending_request {
  requester who;
  request_id id;
  key_assignment_request request;
  crypto::digest content_hash{};
  std::optional<evidence> shown;
  int conflicts = 0;
};

// The data of each state; leaving a state wipes it.
struct in_idle {};
struct in_authenticating {
  pending_request pending;
};
struct in_fetching {
  pending_request pending;
};
struct in_storing {
  entity_record next;
  std::optional<assignment_answer> answer;  ///< none: a report
  std::vector<assignment_event> events;     ///< emitted when the record is durable
  std::optional<pending_request> request;   ///< to be decided again after a conflict
};
struct in_answered {};
using state_data = std::variant<in_idle, in_authenticating, in_fetching, in_storing, in_answered>;

}  // namespace

struct assignment_machine::impl {
  assignment_settings settings;
  entity_record stored;
  const crypto::suite& s;
  entropy& random;
  proof_check proof;
  state_data data;
  std::deque<assignment_output> outputs;

  impl(assignment_settings set, entity_record record, const crypto::suite& suite, entropy& source)
      : settings(std::move(set)), stored(std::move(record)), s(suite), random(source),
        proof(suite, settings.issuer_key) {}

  [[nodiscard]] assignment_state state() const { return static_cast<assignment_state>(data.index()); }

  /// The only writer of the state. False: the table does not accept the trigger here, and nothing changed.
  bool fire(trigger t, state_data to) {
    const auto& row = fsm::find(assignment_table, state(), t);
    if (row.what != fsm::verdict::accept) {
      outputs.push_back(assignment_event{"assignment-rejected", fsm::refusal_text(row)});
      return false;
    }
    if (log::enabled(log::level::debug, "assignment"))
      log::debug("assignment", "assignment-state", "state changed",
                 {{"entity", stored.entity.text()},
                  {"from", std::string{name_of(row.from)}},
                  {"to", std::string{name_of(row.to)}},
                  {"trigger", std::string{name_of(t)}}});
    data = std::move(to);
    return true;
  }

  void emit(std::string_view id, std::string text) {
    outputs.push_back(assignment_event{id, std::move(text)});
  }
  void answer(const request_id& id, std::variant<assigned_keys, refusal> body) {
    outputs.push_back(assignment_answer{id, std::move(body)});
  }
  void refuse(trigger t, const request_id& id, refused no) {
    if (!fire(t, in_answered{})) return;
    emit(no.event, std::move(no.why));
    answer(id, std::move(no.answer));
  }

  [[nodiscard]] bool accepts(trigger t) const {
    return fsm::find(assignment_table, state(), t).what == fsm::verdict::accept;
  }

  void handle_request(const requester& who, const request_id& id, const key_assignment_request& request);
  void handle_user(const result<std::optional<user_record>>& user);
  void handle_device(time_point now, const result<std::optional<device_secret_record>>& device);
  void grant(pending_request p, detail::granted g);
  bool stored_now();
};

// Step 4.
void assignment_machine::impl::handle_request(const requester& who, const request_id& id,
                                              const key_assignment_request& request) {
  if (!accepts(trigger::request_received)) {
    emit("assignment-rejected", "a request arrived during another one");
    answer(id, refusal{link_status::overloaded, detail::retry_overloaded,
                       "another request for this device is pending"});
    return;
  }
  if (request.entity != stored.entity)
    return refuse(trigger::request_malformed, id,
                  detail::refuse(link_status::internal, detail::retry_overloaded, "internal error",
                                 "wrong-entity", "the request is for another entity than this machine's"));
  auto shown = detail::read_evidence(s, request);
  if (!shown)
    return refuse(trigger::request_malformed, id,
                  detail::refuse(link_status::bad_request, 0, "the exchange in the request is not consistent",
                                 "bad-request", shown.error().message()));
  pending_request p{who, id, request, s.sha256(encode_for_proof(request)), *std::move(shown)};
  if (fire(trigger::request_received, in_authenticating{std::move(p)}))
    outputs.push_back(assignment_fetch_user{request.user});
}

// Step 5.
void assignment_machine::impl::handle_user(const result<std::optional<user_record>>& user) {
  auto* in = std::get_if<in_authenticating>(&data);
  if (in == nullptr) return emit("assignment-rejected", "unexpected user record");
  pending_request p = std::move(in->pending);
  if (!user) return refuse(trigger::user_refused, p.id, unreadable(user.error(), "the user"));
  if (auto no = proof(p.who.exporter, p.request, p.content_hash, *user))
    return refuse(trigger::user_refused, p.id, *std::move(no));
  const entity_id entity = p.request.entity;
  if (fire(trigger::user_verified, in_fetching{std::move(p)}))
    outputs.push_back(assignment_fetch_device{entity});
}

// Steps 6 and 7.
void assignment_machine::impl::handle_device(time_point now,
                                             const result<std::optional<device_secret_record>>& device) {
  auto* in = std::get_if<in_fetching>(&data);
  if (in == nullptr) return emit("assignment-rejected", "unexpected device record");
  pending_request p = std::move(in->pending);
  if (!device && is_damage(device.error()))
    return refuse(trigger::request_refused, p.id, unreadable(device.error(), "the device"));
  if (!device)
    return refuse(trigger::request_refused, p.id,
                  detail::refuse(link_status::temporary_key_unavailable, detail::retry_temporary_key,
                                 "the device's Temporary Key is unavailable at present",
                                 "temporary-key-unavailable", device.error().message()));
  if (!*device || (*device)->entity != p.request.entity)
    return refuse(trigger::request_refused, p.id, unknown_entity());
  auto decided = detail::decide({settings, s, random, now, p.who.gw, p.who.uri, p.id, p.request,
                                 p.content_hash, p.shown, **device, stored});
  if (auto* no = std::get_if<refused>(&decided))
    return refuse(trigger::request_refused, p.id, std::move(*no));
  grant(std::move(p), std::get<detail::granted>(std::move(decided)));
}

void assignment_machine::impl::grant(pending_request p, detail::granted g) {
  const auto id = p.id;
  if (g.repeated) {
    for (auto& e : g.events) outputs.push_back(std::move(e));
    if (fire(trigger::keys_repeated, in_answered{})) answer(id, std::move(g.keys));
    return;
  }
  entity_record row = g.next;
  if (fire(trigger::keys_granted, in_storing{std::move(g.next), assignment_answer{id, std::move(g.keys)},
                                             std::move(g.events), std::move(p)}))
    outputs.push_back(assignment_persist{std::move(row)});
}

/// Step 8. The driver polled past a persist, so it is durable.
bool assignment_machine::impl::stored_now() {
  auto* in = std::get_if<in_storing>(&data);
  if (in == nullptr) return false;
  entity_record next = std::move(in->next);
  auto reply = std::move(in->answer);
  for (auto& e : in->events) outputs.push_back(std::move(e));
  const bool done = reply ? fire(trigger::stored, in_answered{}) : fire(trigger::report_stored, in_idle{});
  stored = std::move(next);
  if (reply) outputs.push_back(std::move(*reply));
  return done;
}

assignment_machine::assignment_machine(assignment_settings settings, entity_record record,
                                       const crypto::suite& s, entropy& random)
    : impl_(std::make_unique<impl>(std::move(settings), std::move(record), s, random)) {}
assignment_machine::~assignment_machine() = default;
assignment_machine::assignment_machine(assignment_machine&&) noexcept = default;
assignment_machine& assignment_machine::operator=(assignment_machine&&) noexcept = default;

void assignment_machine::handle_request(time_point, const requester& who, const request_id& id,
                                        const key_assignment_request& request) {
  impl_->handle_request(who, id, request);
}
void assignment_machine::handle_user(time_point, const result<std::optional<user_record>>& user) {
  impl_->handle_user(user);
}
void assignment_machine::handle_device(time_point now,
                                       const result<std::optional<device_secret_record>>& device) {
  impl_->handle_device(now, device);
}

report_outcome assignment_machine::handle_report(time_point now, const gateway_id& gw, epoch reported) {
  impl& m = *impl_;
  if (!m.accepts(trigger::report_received)) {
    m.emit("assignment-rejected", "a report arrived during a request");
    return report_outcome::resync;
  }
  auto d = detail::decide_report(m.stored, m.settings, now, gw, reported);
  if (d.next) {
    entity_record row = *d.next;
    if (m.fire(trigger::report_received,
               in_storing{*std::move(d.next), std::nullopt, {std::move(d.event)}, std::nullopt}))
      m.outputs.push_back(assignment_persist{std::move(row)});
  } else {
    m.outputs.push_back(std::move(d.event));
  }
  return d.outcome;
}

bool assignment_machine::handle_release(time_point, const std::optional<gateway_id>& only_from) {
  impl& m = *impl_;
  if (!m.accepts(trigger::release_received)) {
    m.emit("assignment-rejected", "a release arrived during a request");
    return false;
  }
  if (!m.stored.holder || (only_from && m.stored.holder != only_from)) return false;
  entity_record next = m.stored;
  release_holder(next);
  entity_record row = next;
  assignment_event said{"released", "an operator took the entity from " + m.stored.holder->hex(), true};
  if (m.fire(trigger::release_received,
             in_storing{std::move(next), std::nullopt, {std::move(said)}, std::nullopt}))
    m.outputs.push_back(assignment_persist{std::move(row)});
  return true;
}

void assignment_machine::handle_persist_failed(time_point) {
  impl& m = *impl_;
  auto* in = std::get_if<in_storing>(&m.data);
  if (in == nullptr) return m.emit("assignment-rejected", "unexpected failed write");
  const auto reply = std::move(in->answer);
  std::erase_if(m.outputs,
                [](const assignment_output& o) { return std::holds_alternative<assignment_persist>(o); });
  if (!reply) {
    m.fire(trigger::report_store_failed, in_idle{});
    return;
  }
  if (m.fire(trigger::store_failed, in_answered{}))
    m.answer(reply->id, refusal{link_status::overloaded, detail::retry_overloaded,
                                "the server cannot store at present"});
}

void assignment_machine::handle_conflict(time_point now, entity_record fresh) {
  impl& m = *impl_;
  auto* in = std::get_if<in_storing>(&m.data);
  if (in == nullptr) return m.emit("assignment-rejected", "unexpected conflict");
  m.stored = std::move(fresh);
  if (!in->request || ++in->request->conflicts > conflicts_max) return handle_persist_failed(now);
  m.outputs.clear();
  pending_request p = *std::move(in->request);
  const user_id user = p.request.user;
  m.emit("conflict", "another server changed the record of the device first; deciding again");
  if (m.fire(trigger::conflicted, in_authenticating{std::move(p)}))
    m.outputs.push_back(assignment_fetch_user{user});
}

std::optional<assignment_output> assignment_machine::poll_output() {
  impl& m = *impl_;
  if (m.outputs.empty() && !m.stored_now()) return std::nullopt;
  if (m.outputs.empty()) return std::nullopt;
  auto out = std::move(m.outputs.front());
  m.outputs.pop_front();
  if (std::holds_alternative<assignment_answer>(out) && m.state() == assignment_state::answered)
    m.fire(trigger::answer_taken, in_idle{});
  return out;
}

assignment_state assignment_machine::state() const { return impl_->state(); }
const entity_record& assignment_machine::record() const { return impl_->stored; }

}  // namespace cpns::protocol
