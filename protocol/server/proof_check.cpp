#include "protocol/server/proof_check.hpp"

#include <algorithm>

#include "base/cbor.hpp"
#include "crypto/scram.hpp"
#include "protocol/codec.hpp"

namespace cpns::protocol {
namespace {

constexpr std::uint32_t retry_damaged = 60, retry_unavailable = 5;

}  // namespace

bool is_damage(const error& e) {
  return fault_of(e.code) == fault::wire || e.code == errc::store_damaged || e.code == errc::store_sealed;
}

refused unreadable(const error& fault, std::string_view whose) {
  const bool damaged = is_damage(fault);
  return {{damaged ? link_status::internal : link_status::overloaded,
           damaged ? retry_damaged : retry_unavailable,
           "the server cannot read its record of " + std::string{whose}},
          damaged ? "row-unreadable" : "store-not-read",
          "the record of " + std::string{whose} + ": " + fault.message()};
}

refused unknown_entity() {
  return {{link_status::unknown_entity, 0, "the manufacturer's record of the device was not imported"},
          "unknown-entity",
          "the table of devices has no row for it"};
}

refused proof_delayed(std::uint32_t wait) {
  return {{link_status::throttled, wait, "this gateway sent too many wrong proofs of this user"},
          "proof-delayed",
          "the proof was not checked, because of wrong ones before it"};
}

received_request::received_request(const crypto::suite& s, std::shared_ptr<const requester> sender,
                                   const request_id& its_id, key_assignment_request body)
    : from(std::move(sender)), id(its_id), request(std::move(body)),
      content_hash(s.sha256(encode_for_proof(request))) {}

proof_check::proof_check(const crypto::suite& s, const secret32& issuer_key) : s_(s) {
  s.expand(issuer_key, cbor::writer{}.array(1).tstr("cpns/1 no such user").take(), nobodys_key_);
}

std::optional<refused> proof_check::operator()(const received_request& asked,
                                               const std::optional<user_record>& user) const {
  const bool known = user && user->user == asked.request.user;
  if (known && asked.proved_ && equal_constant_time(asked.proved_by_, user->stored_key)) return std::nullopt;
  // The same work for an unknown user, so that the time reveals nothing.
  const crypto::digest& stored_key = known ? user->stored_key : nobodys_key_;
  const bytes auth_message = crypto::scram_auth_message(asked.from->exporter, asked.content_hash);
  const bool good = crypto::scram_verify(s_, stored_key, auth_message, asked.request.proof);
  if (known && good) return std::nullopt;
  return refused{
      {link_status::unknown_user_or_bad_proof, 0, "the user is not known or the password is wrong"},
      "user-refused",
      known ? "the proof does not match the user's password" : "the user is unknown"};
}

std::optional<refused> proof_check::check_first(received_request& asked,
                                                const std::optional<user_record>& user) const {
  auto no = (*this)(asked, user);
  if (no) return no;
  asked.proved_by_ = user->stored_key;
  asked.proved_ = true;
  return std::nullopt;
}

seconds proof_delays::delay::length() const {
  if (wrong <= free_proofs) return seconds{0};
  const auto doubled = std::min<std::uint32_t>(wrong - free_proofs - 1, 10);
  return std::min(seconds{1 << doubled}, longest);
}

bool proof_delays::delay::over(time_point now) const {
  // A clock that was set back ends the delay.
  return wrong == 0 || now >= last + kept || now < last;
}

std::uint32_t proof_delays::wait(time_point now, const gateway_id& gw, const user_id& user) const {
  const auto found = by_gateway_.find(gw);
  if (found == by_gateway_.end()) return 0;
  const auto& g = *found->second;
  const auto own = g.users.find(user);
  const bool full = own == g.users.end() && g.users.size() >= users_max;
  const delay& d = full ? g.others : own == g.users.end() ? delay{} : own->second;
  if (d.over(now) || now >= d.last + d.length()) return 0;
  return static_cast<std::uint32_t>(std::chrono::ceil<seconds>(d.last + d.length() - now).count());
}

void proof_delays::wrong(time_point now, const gateway_id& gw, const user_id& user) {
  auto found = by_gateway_.find(gw);
  if (found == by_gateway_.end()) {
    if (latest_.size() >= gateways_max_ && !latest_.empty()) {
      by_gateway_.erase(latest_.back().gw);
      latest_.pop_back();
    }
    latest_.push_front({gw, {}, {}});
    found = by_gateway_.emplace(gw, latest_.begin()).first;
  }
  latest_.splice(latest_.begin(), latest_, found->second);
  auto& g = latest_.front();
  if (g.users.size() >= users_max && g.users.count(user) == 0)
    std::erase_if(g.users, [now](const auto& u) { return u.second.over(now); });
  delay& d = g.users.size() < users_max || g.users.count(user) != 0 ? g.users[user] : g.others;
  if (d.over(now)) d.wrong = 0;
  ++d.wrong;
  d.last = now;
}

void proof_delays::right(const gateway_id& gw, const user_id& user) {
  const auto found = by_gateway_.find(gw);
  if (found == by_gateway_.end()) return;
  auto& g = *found->second;
  g.users.erase(user);
  if (!g.users.empty() || g.others.wrong != 0) return;
  latest_.erase(found->second);
  by_gateway_.erase(found);
}

}  // namespace cpns::protocol
