#include "protocol/server/assignment_rules.hpp"

#include <algorithm>

#include "crypto/key_schedule.hpp"
#include "protocol/codec.hpp"

namespace cpns::protocol::detail {
namespace {

using step = std::optional<refused>;

/// Freshness and presence, checked before anything is released (steps 3 and 7).
step check_evidence(const assignment_case& c, proven& p) {
  const evidence& e = *c.shown;
  if (e.dreq.gw != c.gw)
    return refuse(link_status::presence_failed, retry_presence, "the device answered another gateway",
                  "foreign-answer", "the DREQ is of gateway " + e.dreq.gw.hex());
  const auto slot = e.dreq.issuer_nonce
                        ? find_slot(c.s, c.settings.issuer_key, c.gw, c.now, *e.dreq.issuer_nonce)
                        : std::nullopt;
  if (!slot)
    return refuse(link_status::stale_nonce, retry_stale_nonce,
                  "the device's answer is too old; let it answer again", "stale-nonce",
                  e.dreq.issuer_nonce ? "the issuer nonce is not of a current slot"
                                      : "the DREQ has no issuer nonce");
  p.slot = *slot;
  for (const auto& used : c.stored.used)
    if (used.th1 == e.th1)
      return refuse(link_status::stale_nonce, retry_stale_nonce,
                    "the device's answer was used before; let it answer again", "answer-reused",
                    "another request had the same exchange");
  const secret32 k_pres = crypto::derive_presence_key(c.s, c.device.temporary_key);
  const tag16 expected = crypto::presence_tag(c.s, k_pres, e.th1, e.drsp.possession);
  p.presence = e.drsp.presence && equal_constant_time(e.drsp.presence->view(), expected.view());
  const bool required = c.settings.require_presence && c.device.require_presence;
  if (!p.presence && (required || c.device.always_require_presence))
    return refuse(link_status::presence_failed, retry_presence,
                  "the device did not prove its presence with its Temporary Key", "presence-failed",
                  e.drsp.presence ? "the presence tag is wrong" : "the presence tag is missing");
  return std::nullopt;
}

step check_possession(const assignment_case& c, proven& p, std::vector<assignment_event>& events) {
  const discovery_response& d = c.shown->drsp;
  if (!d.highest || !d.possession) return std::nullopt;
  const secret32* key = find_key(c.stored, *d.highest);
  if (key == nullptr) {
    events.push_back(
        {"possession-unknown", "the device names epoch " + d.highest->text() + ", whose key is not stored"});
    return std::nullopt;
  }
  const tag16 expected = crypto::possession_tag(c.s, *key, c.shown->th1);
  if (equal_constant_time(d.possession->view(), expected.view())) {
    p.held = key;
    return std::nullopt;
  }
  events.push_back({"possession-bad",
                    "the device holds another key of epoch " + d.highest->text() + " than the one issued"});
  // With a verified presence this is the device; without it, it may be any peer.
  if (!p.presence)
    return refuse(link_status::presence_failed, retry_presence,
                  "the device did not prove that it holds its key", "possession-bad",
                  "possession is wrong and presence is not verified");
  return std::nullopt;
}

/// "Stale" of docs/protocol.md, checked before the holder.
step check_stale(const assignment_case& c, const proven& p) {
  const auto& named = c.shown->drsp.highest;
  if (!p.presence || !named || !c.stored.last_report || *named >= *c.stored.last_report) return std::nullopt;
  const std::string why =
      "the device names epoch " + named->text() + ", the last report was " + c.stored.last_report->text();
  if (p.slot <= c.stored.last_report_slot)
    return refuse(link_status::stale_nonce, static_cast<std::uint32_t>(issuer_slot.count()),
                  "the device's answer is older than its last report; let it answer again", "stale-nonce",
                  why);
  return refuse(link_status::stale_epoch, 0,
                "the device went back to an older key: a restored device or a copy of it", "stale-epoch",
                why);
}

/// "Ownership" of docs/protocol.md: whether the user may have keys of this entity, and is a new owner.
step check_owner(const assignment_case& c, const proven& p, entity_record& next, bool& new_owner,
                 std::vector<assignment_event>& events) {
  const std::optional<user_id>& owner = c.stored.owner ? c.stored.owner : c.device.owner;
  const std::int64_t now = unix_seconds(c.now);
  if (owner && *owner != c.request.user) {
    const bool has_device = p.presence && c.shown && c.shown->drsp.resets > c.stored.resets &&
                            c.stored.claimed != 0 && now - c.stored.claimed <= ownership_window.count();
    if (!has_device)
      return refuse(link_status::owned_by_other, 0,
                    "the device belongs to another user, who has to release it", "owned-by-other",
                    "another user owns the device");
    events.push_back({"ownership-passed",
                      "a factory reset within 14 days of the first claim passed the device to another user"});
    new_owner = true;
    release_holder(next);
  } else if (!c.stored.owner) {
    events.push_back({"ownership-claimed", owner ? "the owner named by the import claims the device"
                                                 : "the first user claims the device"});
    new_owner = true;
  }
  if (new_owner) {
    next.owner = c.request.user;
    next.tag = c.random.draw_id<owner_tag>();
    if (next.claimed == 0) next.claimed = now;
  }
  if (p.presence && c.shown) next.resets = std::max(next.resets, c.shown->drsp.resets);
  return std::nullopt;
}

step check_holder(const assignment_case& c, const std::optional<gateway_id>& holder) {
  if (!holder || *holder == c.gw) return std::nullopt;
  const auto who = holder_text(c.stored, unix_seconds(c.now));
  return refuse(link_status::held_by_other, static_cast<std::uint32_t>(c.settings.adopt_after.count()),
                who + "; to free it: cpns entity release", "held-by-other",
                who + "; if that gateway will not return, run on the server: cpns entity release " +
                    c.request.entity.text());
}

/// A refill without an exchange: accepted from the holder of the set.
step check_vouched(const assignment_case& c) {
  const bool known_set =
      c.request.set && std::any_of(c.stored.sets.begin(), c.stored.sets.end(), [&c](const eukey_set& s) {
        return s.set == *c.request.set && s.issued_to == c.gw;
      });
  if (c.stored.holder && known_set) return std::nullopt;
  return refuse(link_status::stale_nonce, retry_stale_nonce,
                "the server does not know the set; ask again with the device's answer", "refill-unknown-set",
                c.stored.holder ? "the set was not issued to this gateway" : "no gateway holds the device");
}

const answered_request* find_answered(const assignment_case& c) {
  for (const auto& a : c.stored.answered)
    if (a.id == c.id && a.gw == c.gw) return &a;
  return nullptr;
}

/// A repeated request gets the same keys if owner and holder are unchanged.
decision repeat(const assignment_case& c, const answered_request& a) {
  if (a.content_hash != c.content_hash)
    return refuse(link_status::bad_request, 0, "the request id was used for another request",
                  "request-id-reused", "the same request id arrived with other content");
  if (!c.stored.owner || *c.stored.owner != c.request.user)
    return refuse(link_status::owned_by_other, 0, "the device belongs to another user, who has to release it",
                  "owned-by-other", "the owner changed since the request was answered");
  if (auto no = check_holder(c, c.stored.holder)) return *std::move(no);
  const eukey_set* set = find_set(c.stored, a.generation);
  if (set != nullptr && set->not_after <= unix_seconds(c.now))
    return refuse(link_status::stale_nonce, retry_stale_nonce,
                  "the set of this request has expired; ask again with the device's answer",
                  "repeated-too-late", "the set expired since the request was answered");
  const std::uint32_t first = set == nullptr ? 0 : std::max(a.first_index, set->first_index);
  if (set == nullptr || first >= a.first_index + a.count)
    return refuse(link_status::stale_nonce, retry_stale_nonce,
                  "the keys of this request are used up; ask again with the device's answer",
                  "repeated-too-late", "a newer key was reported since the request was answered");
  auto grant = std::make_shared<granted>();
  auto& out = *grant;
  out.repeated = true;
  const auto from = set->eukeys.begin() + (first - set->first_index);
  out.keys.generation = set->generation;
  out.keys.set = set->set;
  out.keys.first_index = static_cast<std::uint16_t>(first);
  out.keys.eukeys.assign(from, from + (a.first_index + a.count - first));
  out.keys.not_after = set->not_after;
  if (c.shown && c.shown->drsp.highest && c.shown->drsp.possession)
    if (const secret32* key = find_key(c.stored, *c.shown->drsp.highest);
        key != nullptr && equal_constant_time(crypto::possession_tag(c.s, *key, c.shown->th1).view(),
                                              c.shown->drsp.possession->view()))
      out.keys.chain = crypto::derive_chain(c.s, *key, c.gw, set->generation);
  out.events.push_back(
      {"assignment-repeated", "the same keys of generation " + std::to_string(set->generation)});
  return grant;
}

void remember(const assignment_case& c, const proven& p, granted& out) {
  entity_record& next = out.next;
  if (next.holder != c.gw) next.holder_since = unix_seconds(c.now);
  next.holder = c.gw;
  next.holder_uri = c.gw_uri;
  next.holder_seen = unix_seconds(c.now);
  answered_request a;
  a.id = c.id;
  a.gw = c.gw;
  a.content_hash = c.content_hash;
  a.generation = out.keys.generation;
  a.first_index = out.keys.first_index;
  a.count = static_cast<std::uint32_t>(out.keys.eukeys.size());
  next.answered.push_back(a);
  if (next.answered.size() > answered_kept_max)
    next.answered.erase(next.answered.begin(),
                        next.answered.end() - static_cast<std::ptrdiff_t>(answered_kept_max));
  if (c.shown) next.used.push_back({c.shown->th1, p.slot});
}

/// Transcripts whose issuer nonce is no longer accepted cannot be replayed.
void forget_old_transcripts(const assignment_case& c, entity_record& next) {
  const std::uint64_t now = slot_of(c.now);
  std::erase_if(next.used, [now](const used_transcript& u) { return u.slot + issuer_slots_back < now; });
}

}  // namespace

decision decide(const assignment_case& c) {
  if (const answered_request* before = find_answered(c)) return finish(c, repeat(c, *before));
  proven p;
  auto grant = std::make_shared<granted>();
  auto& out = *grant;
  out.next = c.stored;
  bool new_owner = false;
  if (c.shown) {
    if (auto no = check_evidence(c, p)) return *std::move(no);
    if (auto no = check_possession(c, p, out.events)) return *std::move(no);
    if (auto no = check_stale(c, p)) return *std::move(no);
  }
  if (auto no = check_owner(c, p, out.next, new_owner, out.events)) return *std::move(no);
  if (auto no = check_holder(c, out.next.holder)) return *std::move(no);
  if (!c.shown)
    if (auto no = check_vouched(c)) return *std::move(no);
  forget_old_transcripts(c, out.next);
  if (c.shown && out.next.used.size() >= transcripts_kept_max)
    return refuse(link_status::throttled, retry_throttled,
                  "too many requests for this device in three minutes", "throttled",
                  "the list of used exchanges is full");
  if (auto no = grant_keys(c, p, new_owner, out)) return *std::move(no);
  remember(c, p, out);
  return finish(c, std::move(grant));
}

}  // namespace cpns::protocol::detail
