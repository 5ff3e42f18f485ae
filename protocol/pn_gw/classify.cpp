#include "protocol/pn_gw/classify.hpp"

#include <algorithm>

#include "protocol/codec.hpp"

namespace cpns::protocol {
namespace {

classification noise(classification j, std::string_view why) {
  j.what = conclusion::noise;
  j.why = why;
  return j;
}

/// The table's rows "unverifiable, epoch null".
conclusion without_key(const device_record& record, std::optional<epoch> own,
                       const discovery_response& answer) {
  if (record.generation == 0) return conclusion::first_contact;
  if (answer.resets > record.resets) return conclusion::reset_claimed;
  return own ? conclusion::amnesia : conclusion::first_delivery_lost;
}

}  // namespace

classification classify(const crypto::suite& s, const device_record& record, std::optional<epoch> own,
                        byte_view dreq, const discovery_request& request, const discovery_response& answer) {
  classification j;
  if (answer.gw_nonce_echo != first<4>(request.gw_nonce))
    return noise(j, "does not echo the nonce of the DREQ");
  if (answer.entity != record.entity) {
    j.what = conclusion::foreign;
    j.why = "names another Entity ID";
    return j;
  }
  if (std::find(request.suites.begin(), request.suites.end(), answer.suite) == request.suites.end())
    return noise(j, "chose a suite that was not on offer");
  if (answer.presence.has_value() != request.issuer_nonce.has_value())
    return noise(j, "has presence without a request for it, or lacks it");
  j.th1 = crypto::transcript1(s, dreq, encode_first_eight(answer));

  if (!answer.highest) {
    j.what = without_key(record, own, answer);
    return j;
  }
  const auto* key = record.find(*answer.highest);
  if (key == nullptr) {
    j.what = own && *answer.highest < *own ? conclusion::below_own : conclusion::set_not_held;
    return j;
  }
  j.key = key->which;
  if (!answer.possession ||
      !equal_constant_time(crypto::possession_tag(s, key->eukey, j.th1).value, answer.possession->value)) {
    j.what = conclusion::bad_possession;
    j.why = "does not prove possession of the named epoch";
    return j;
  }
  if (key->use == key_use::own) {
    j.what = conclusion::own_key;
  } else if (own && key->which < *own) {
    j.what = conclusion::older_key;
    j.why = "proves a key below the own one";
  } else {
    j.what = conclusion::newer_key;
    j.was_unused = key->use == key_use::unused;
  }
  return j;
}

}  // namespace cpns::protocol
