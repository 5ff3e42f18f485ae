// The rules for each message (docs/protocol.md, "What the PNE accepts") and the resulting actions.
#include <algorithm>

#include "protocol/pne/pne_impl.hpp"

namespace cpns::protocol {
namespace {

using reason_t = failure::reason_t;

/// A slow write holds up the outputs: over this bound, messages are dropped.
constexpr std::size_t pne_outputs_max = 32;

}  // namespace

void pne_machine::impl::handle_frame(time_point now, pne_link link, byte_view message) {
  handle_timeout(now);
  about = {};
  about.peer = &peer_of(link);
  about.message = message;
  auto m = decode_radio(message);
  if (!m) return refuse(pne_trigger::unfit, now, reason_t::bad_message, m.error().message());
  if (outputs.size() >= pne_outputs_max)
    return refuse(pne_trigger::unfit, now, reason_t::busy, "too many outputs wait for a write");
  if (const auto* dreq = std::get_if<discovery_request>(&*m)) return on(now, *dreq);
  if (const auto* kdel = std::get_if<key_delivery>(&*m)) return on(now, *kdel);
  if (const auto* kret = std::get_if<key_retire>(&*m)) return on(now, *kret);
  // Never answer a hint with a hint.
  about.peer->hints.take(now);
  refuse(pne_trigger::unfit, now, reason_t::bad_message, "a message type that a PNE does not accept");
}

void pne_machine::impl::refuse(pne_trigger t, time_point now, reason_t hint, std::string why) {
  about.hint = hint;
  about.why = std::move(why);
  fire(t, now);
}

// Step 2.
void pne_machine::impl::on(time_point now, const discovery_request& m) {
  auto& contexts = about.peer->contexts;
  const auto same = std::find_if(contexts.begin(), contexts.end(),
                                 [this](const pne_context& c) { return equal(c.dreq, about.message); });
  if (same != contexts.end()) {
    about.context = &*same;
    return fire(pne_trigger::dreq_repeated, now);
  }
  if (!about.peer->answers.take(now))
    return refuse(pne_trigger::dreq_refused, now, reason_t::busy, "DREQ over the rate limit");
  if (m.version != version)
    return refuse(pne_trigger::dreq_refused, now, reason_t::unsupported_version,
                  "DREQ has version " + std::to_string(m.version));
  const auto suite = choose_suite(m, settings.lowest_suite);
  if (!suite)
    return refuse(pne_trigger::dreq_refused, now, reason_t::no_common_suite, "DREQ offers no common suite");
  if (record.highest() == nullptr && settings.answer_window && !window_open(now, *settings.answer_window))
    return refuse(pne_trigger::dreq_refused, now, reason_t::window_closed,
                  "the device is unkeyed, and its answer window is closed");
  about.dreq = &m;
  about.suite = *suite;
  fire(pne_trigger::dreq, now);
}

void pne_machine::impl::answer(time_point now) {
  auto c = open(secrets(), *about.dreq, about.message, about.suite, random, now);
  auto& contexts = about.peer->contexts;
  if (contexts.size() >= static_cast<std::size_t>(context_count)) contexts.erase(contexts.begin());
  outputs.emplace_back(pne_send{c.drsp});
  emit(pne_event::kind_t::answered, c.named);
  contexts.push_back(std::move(c));
}

// Step 10.
std::optional<std::pair<reason_t, std::string>> pne_machine::impl::refusal_of(time_point now,
                                                                              const key_delivery& m) const {
  using refusal_t = std::pair<reason_t, std::string>;
  if (!any_open(*about.peer)) return refusal_t{reason_t::no_context, "KDEL without an open context"};
  const auto* own = record.highest();
  if (own == nullptr) return std::nullopt;
  if (m.which <= own->which)
    return refusal_t{reason_t::refused, "KDEL has an epoch that is not above the stored ones"};
  if (m.which.generation() - own->which.generation() > generation_jump_max)
    return refusal_t{reason_t::refused, "KDEL skips too many generations"};
  if (m.chained) return std::nullopt;
  if (settings.strict_chain)
    return refusal_t{reason_t::refused, "KDEL is not chained, and require_chain is strict"};
  if (m.which.generation() == own->which.generation())
    return refusal_t{reason_t::refused, "KDEL is not chained, and its generation is not above the own one"};
  if (!window_open(now, settings.unchained_window))
    return refusal_t{reason_t::window_closed, "KDEL is not chained, and the window is closed"};
  return std::nullopt;
}

void pne_machine::impl::on(time_point now, const key_delivery& m) {
  auto& contexts = about.peer->contexts;
  for (auto& c : contexts) {
    const auto* used = std::get_if<used_context>(&c.use);
    if (used == nullptr || !equal(used->kdel, about.message)) continue;
    about.context = &c;
    return fire(pne_trigger::kdel_repeated, now);
  }
  if (auto no = refusal_of(now, m))
    return refuse(pne_trigger::kdel_refused, now, no->first, std::move(no->second));
  if (!about.peer->openings.take(now))
    return refuse(pne_trigger::kdel_refused, now, reason_t::busy, "KDEL over the rate limit");
  std::string why = "KDEL cannot be decrypted in any context";
  for (auto c = contexts.rbegin(); c != contexts.rend(); ++c) {
    if (!c->is_open()) continue;
    auto opened = open_delivery(secrets(), *c, m);
    if (!opened) {
      why = "KDEL: " + opened.error().message();
      continue;
    }
    about.context = &*c;
    about.kdel = &m;
    about.opened = std::move(*opened);
    holder = about.peer->link;
    return fire(pne_trigger::kdel, now);
  }
  refuse(pne_trigger::kdel_refused, now, reason_t::refused, std::move(why));
}

void pne_machine::impl::store_and_confirm() {
  auto before = record;
  std::optional<stored_key> retired;
  if (record.pending) {
    retired = std::move(record.current);
    record.current = std::move(record.pending);
  }
  stored_key key{about.kdel->which, about.opened->content.eukey, about.opened->content.owner,
                 about.opened->content.rekey_seconds};
  record.pending = std::move(key);
  // A context has one use: this wipes the ephemeral key.
  about.context->use = used_context{to_bytes(about.message), about.opened->kcnf};
  persist_change(std::move(before), std::move(retired));
  emit(pne_event::kind_t::key_accepted, about.kdel->which);
  outputs.emplace_back(pne_send{about.opened->kcnf});
  emit(pne_event::kind_t::confirmed, about.kdel->which);
  about.opened.reset();
}

// KRET. Its tag uses th1 of the latest exchange; a DREQ on this link may have begun a later one, so both contexts
// are tried.
void pne_machine::impl::on(time_point now, const key_retire& m) {
  const stored_key* key = record.pending && record.pending->which == m.which   ? &*record.pending
                          : record.current && record.current->which == m.which ? &*record.current
                                                                               : nullptr;
  if (key == nullptr)
    return refuse(pne_trigger::kret_refused, now, reason_t::refused, "KRET names no stored key");
  const auto& contexts = about.peer->contexts;
  const bool verified = std::any_of(contexts.begin(), contexts.end(), [&](const pne_context& c) {
    return equal_constant_time(crypto::retire_tag(s, key->eukey, c.th1).value, m.retire.value);
  });
  if (!verified) return refuse(pne_trigger::kret_refused, now, reason_t::refused, "KRET does not verify");
  holder = about.peer->link;
  const bool is_pending = record.pending && key == &*record.pending;
  fire(is_pending ? pne_trigger::kret : pne_trigger::kret_repeated, now);
}

void pne_machine::impl::retire() {
  auto before = record;
  auto retired = std::move(record.current);
  record.current = std::move(record.pending);
  record.pending.reset();
  const auto which = record.current->which;
  persist_change(std::move(before), std::move(retired));
  emit(pne_event::kind_t::retired, which);
}

void pne_machine::impl::erase() {
  auto before = record;
  record.current.reset();
  record.pending.reset();
  ++record.resets;
  forget_contexts();
  persist_change(std::move(before));
}

void pne_machine::impl::drop(time_point now) {
  ++dropped;
  if (outputs.size() >= pne_outputs_max) return;
  if (about.peer != nullptr && about.peer->hints.take(now))
    outputs.emplace_back(pne_send{encode(failure{about.hint})});
  emit(pne_event::kind_t::rejected, {}, std::move(about.why));
}

void pne_machine::impl::persist_change(pne_record before, std::optional<stored_key> retired) {
  if (!saved) saved = std::move(before);
  outputs.emplace_back(pne_persist{record, std::move(retired)});
}

void pne_machine::impl::emit(pne_event::kind_t kind, std::optional<epoch> which, std::string why) {
  outputs.emplace_back(pne_event{kind, which, std::move(why)});
}

}  // namespace cpns::protocol
