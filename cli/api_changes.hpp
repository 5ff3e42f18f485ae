#pragma once
// Changes through the API of a role, as lines in its audit trail.

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "api/change_log.hpp"
#include "audit/trail.hpp"

namespace cpns::cli {

/// The trail has no thread of its own, but outcomes that wait for the disk and counts of refusals must be written when
/// nobody makes a change. So this object calls trail::tick every second. [thread-safe]
class api_changes final : public api::change_log {
 public:
  /// `to` outlives this object.
  explicit api_changes(audit::trail& to);
  ~api_changes() override;
  api_changes(const api_changes&) = delete;
  api_changes& operator=(const api_changes&) = delete;

  result<number> begin(const api::change& c) override;
  void finish(number intent, const api::problem* refused, const boost::json::value& after) override;
  void refused(const api::change& c, const api::problem& why) override;

 private:
  void run();

  audit::trail& trail_;
  std::mutex guard_;
  std::condition_variable ending_;
  bool over_ = false;
  number next_ = 1;
  std::map<number, audit::ticket> open_;
  std::thread thread_;
};

}  // namespace cpns::cli
