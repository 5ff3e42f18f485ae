// Unverified claims (docs/protocol.md, "the recovery table"): any peer in range can make them, so they start few
// exchanges and end none. The server verifies them one by one, in random order.
#include <algorithm>

#include "protocol/pn_gw/pn_gw_impl.hpp"

namespace cpns::protocol {
namespace {

using kind_t = gw_event::kind_t;

constexpr seconds nonce_wait{15};
constexpr unsigned refusals_weighed_max = 8;  ///< further refusals do not reduce the weight of a claim

bool is_unkeyed(const gw_answer& a) {
  return a.classified.what == conclusion::amnesia || a.classified.what == conclusion::first_delivery_lost;
}

bool is_judgeable(const gw_answer& a) {
  return a.response.presence && (a.classified.is_candidate() || a.classified.is_verified());
}

}  // namespace

/// An unverified peer on a new link claims to be the device.
void pn_gw_machine::impl::claim(time_point now, gw_link link, std::optional<gw_answer> answer) {
  const bool complete = answer && answer->classified.is_candidate() && answer->response.presence;
  const bool judging =
      std::holds_alternative<gw_collecting>(activity) || std::holds_alternative<gw_asking>(activity);
  const bool waits = now < server_not_before && state == pn_gw_state::backing_off;
  if (complete && (judging || (record.generation == 0 && !waits))) {
    const auto dreq = answer->dreq;
    emit(kind_t::detected, answer->response.highest, {}, false);
    keep(std::move(*answer));
    if (std::holds_alternative<gw_collecting>(activity)) timers.set(gw_timer::ask, now);
    if (is_idle()) {
      subject what;
      what.dreq = dreq;
      fire(pn_gw_trigger::discover, now, std::move(what));
    }
    if (std::holds_alternative<gw_discovering>(activity)) conclude(now);
    return;
  }
  claimed = true;
  if (open.dreq && (judging || std::holds_alternative<gw_discovering>(activity)))
    outputs.emplace_back(gw_send{link, open.dreq->message});
  begin_for_claims(now);
}

void pn_gw_machine::impl::begin_for_claims(time_point now) {
  if (!claimed || links.empty()) return timers.stop(gw_timer::claim);
  if (now < claims_not_before) return timers.set(gw_timer::claim, claims_not_before);
  if (!is_idle()) return timers.set(gw_timer::claim, now + claim_interval);
  if (state == pn_gw_state::backing_off && now < server_not_before)
    return timers.set(gw_timer::claim, server_not_before);
  claimed = false;
  claims_not_before = now + claim_interval;
  begin(now);
}

/// Keeps only the newest answer of each link, so a link that sends answers without end replaces only its own
/// earlier answer. Over the bound, a new answer replaces a random one or is dropped.
void pn_gw_machine::impl::keep(gw_answer answer) {
  const auto former = std::find_if(open.answers.begin(), open.answers.end(),
                                   [&answer](const gw_answer& a) { return a.link == answer.link; });
  if (former != open.answers.end()) {
    if (!former->classified.is_verified() || answer.classified.is_verified()) *former = std::move(answer);
    return;
  }
  if (open.answers.size() < claims_max) return open.answers.push_back(std::move(answer));
  const auto place = random.below(claims_max + 1);
  if (place < claims_max) open.answers[place] = std::move(answer);
}

std::vector<std::size_t> pn_gw_machine::impl::candidates() const {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < open.answers.size(); ++i)
    if (open.answers[i].classified.is_candidate()) out.push_back(i);
  return out;
}

/// The good link sent no verified answer. If it sent a claim, it is no longer good, and its claim is treated like
/// the others. Exception: if the device has no confirmed key, only the claim of the good link is kept. Such a device
/// cannot prove anything to the gateway, but the server verified this link a moment ago.
void pn_gw_machine::impl::give_up_good_link() {
  if (!proven) return;
  const auto good = *proven;
  const bool claims = std::any_of(open.answers.begin(), open.answers.end(), [good](const gw_answer& a) {
    return a.link == good && a.classified.is_candidate();
  });
  if (!claims)
    return drop_link(
        good, "the device proved nothing on this link, and a peer on another link claims to be the device");
  if (has_own())
    proven.reset();
  else
    std::erase_if(open.answers, [good](const gw_answer& a) { return a.link != good; });
}

/// The table's rows for unverified answers. A peer in range that sends unverified answers can
/// cause neither an alarm nor a lost key.
void pn_gw_machine::impl::conclude(time_point now) {
  timers.stop(gw_timer::answer);
  activity = gw_idle{};
  if (record.generation > 0) give_up_good_link();
  const auto found = candidates();
  if (found.empty()) return nothing_usable(now);
  const bool may_heal =
      !server_wanted && !recover_wanted &&
      std::all_of(found.begin(), found.end(), [this](std::size_t i) { return is_unkeyed(open.answers[i]); });
  if (found.size() == 1) {
    const auto& only = open.answers[found[0]];
    const bool chain_held = record.chain && only.response.highest == record.chain->made_for &&
                            record.chain->generation == record.generation && next_key(only) != nullptr;
    if (may_heal || (chain_held && !recover_wanted)) {
      auto healed = std::move(open.answers[found[0]]);
      open.answers.clear();
      return deliver_or_ask(now, std::move(healed), true);
    }
  }
  subject what;
  what.may_heal = may_heal;
  fire(has_own() ? pn_gw_trigger::ask_again : pn_gw_trigger::ask_first, now, std::move(what));
}

/// Several peers claim that they have no key, and the server is unreachable: heals a random one within the
/// budget.
void pn_gw_machine::impl::heal_one(time_point now) {
  forget_old_answers(now);
  std::vector<std::size_t> found;
  for (const auto i : candidates())
    if (is_unkeyed(open.answers[i]) && can_deliver(now, open.answers[i])) found.push_back(i);
  if (found.empty() || !within_budget(now)) return fail_with(now, "the server cannot be reached");
  auto drawn = std::move(open.answers[found[random.below(found.size())]]);
  open.answers.clear();
  deliver_or_ask(now, std::move(drawn), true);
}

void pn_gw_machine::impl::forget_old_answers(time_point now) {
  std::erase_if(open.answers, [now](const gw_answer& a) { return a.dreq->is_old(now); });
}

/// `open.dreq` is not sent to links whose answers to an earlier DREQ are still fresh. As soon as such an answer is
/// too old, its link gets `open.dreq` too.
void pn_gw_machine::impl::replace_old_answers(time_point now) {
  if (collects(now))
    for (const auto& a : open.answers)
      if (a.dreq->is_old(now)) {
        outputs.emplace_back(gw_send{a.link, open.dreq->message});
        open.sends_left = std::max(open.sends_left, 1);
      }
  forget_old_answers(now);
}

/// Returns a verified answer if there is one, else a random claim. A refused claimant is drawn less often, and is
/// not drawn before its wait ends. `soonest`: the earliest end of such a wait.
std::optional<std::size_t> pn_gw_machine::impl::draw_claim(time_point now, time_point& soonest) {
  std::vector<std::pair<std::size_t, std::uint64_t>> ready;
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < open.answers.size(); ++i) {
    const auto& a = open.answers[i];
    if (!is_judgeable(a)) continue;
    if (a.classified.is_verified()) return i;
    const auto who = claimant(a.link);
    const auto from = book.not_before(record.entity, who);
    if (from > now) {
      soonest = std::min(soonest, from);
      continue;
    }
    const auto weight = std::uint64_t{1}
                        << (2 * (refusals_weighed_max -
                                 std::min(book.refusals(record.entity, who), refusals_weighed_max)));
    ready.emplace_back(i, weight);
    total += weight;
  }
  if (ready.empty()) return std::nullopt;
  auto at = random.below(total);
  for (const auto& [i, weight] : ready) {
    if (at < weight) return i;
    at -= weight;
  }
  return ready.back().first;
}

bool pn_gw_machine::impl::has_answered(gw_link link) const {
  return std::any_of(open.answers.begin(), open.answers.end(),
                     [link](const gw_answer& a) { return a.link == link; });
}

/// True if a DREQ is open and the server can still verify its answers.
bool pn_gw_machine::impl::collects(time_point now) const {
  return open.dreq && open.dreq->request.issuer_nonce && !open.dreq->is_old(now);
}

/// A DREQ with an issuer nonce collects answers as long as the server can verify them. The next DREQ is sent
/// after that time, to the links without an answer.
bool pn_gw_machine::impl::wants_dreq(time_point now) const {
  if (collects(now)) return false;
  const auto any = [this](auto pred) { return std::any_of(open.answers.begin(), open.answers.end(), pred); };
  if (any([](const gw_answer& a) { return a.classified.is_verified(); })) return false;
  return !std::all_of(links.begin(), links.end(), [&](gw_link l) {
    return any([l](const gw_answer& a) { return a.link == l && is_judgeable(a); });
  });
}

/// Asks the server about one answer, or waits until it may, or collects answers that the server can verify.
void pn_gw_machine::impl::ask_next(time_point now, bool may_heal) {
  replace_old_answers(now);
  if (wants_dreq(now)) {
    timers.stop(gw_timer::answer);
    timers.stop(gw_timer::ask);
    activity = gw_awaiting_nonce{may_heal};
    timers.set(gw_timer::server, now + nonce_wait);
    outputs.emplace_back(gw_want_nonce{});
    return;
  }
  time_point soonest = time_never;
  if (const auto drawn = draw_claim(now, soonest)) {
    if (!book.take_request(now, record.entity)) return collect(now, book.next_request(now, record.entity));
    auto answer = std::move(open.answers[*drawn]);
    open.answers.erase(open.answers.begin() + static_cast<std::ptrdiff_t>(*drawn));
    return ask_about(now, std::move(answer));
  }
  if (soonest != time_never) return collect(now, soonest);
  if (open.sends_left > 0 && !links.empty()) return collect(now, time_never);
  fail_with(now, "no answer is left that the server can verify", seconds{0}, true);
}

void pn_gw_machine::impl::collect(time_point now, time_point next) {
  activity = gw_collecting{};
  timers.set(gw_timer::ask, next);
  await_more(now);
}

/// While the server verifies an answer, the DREQ is repeated on links without an answer.
void pn_gw_machine::impl::await_more(time_point now) {
  const bool is_out = open.dreq && open.dreq->request.issuer_nonce && open.sends_left > 0;
  if (is_out && timers.at(gw_timer::answer) == time_never)
    timers.set(gw_timer::answer, now + settings.answer_timeout);
}

}  // namespace cpns::protocol
