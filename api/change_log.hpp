#pragma once
// The place where the API says which changes it makes and refuses; the audit trail implements it.

#include <boost/json/value.hpp>
#include <cstdint>
#include <string>

#include "api/access.hpp"
#include "api/problem.hpp"
#include "base/result.hpp"

namespace cpns::api {

/// A change that a peer asks for.
struct change {
  peer from;
  std::string request_id;
  std::string action;  ///< stable, kebab-case: "user-add"
  std::string
      object;  ///< the user, the device, ...; empty: the role itself, or a text that is not such a name
  boost::json::value wanted;  ///< what the object is to have, without secrets, or null
  boost::json::value before;  ///< state of the object, without secrets, or null
  bool needs_store = true;    ///< false: a change of the role alone, which goes on while its store is away
};

/// [thread-safe] Calls block until the line is durable.
class change_log {
 public:
  using number = std::uint64_t;
  virtual ~change_log() = default;
  /// Records the intent, before anything is changed. On an error the change is refused.
  virtual result<number> begin(const change& c) = 0;
  /// Records the outcome: `refused` is nullptr for a change that was made.
  virtual void finish(number intent, const problem* refused, const boost::json::value& after) = 0;
  /// Records, at a bounded rate per peer, a change that was refused before it began: no rights, not valid.
  virtual void refused(const change& c, const problem& why) = 0;
};

}  // namespace cpns::api
