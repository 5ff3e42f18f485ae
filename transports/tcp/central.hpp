#pragma once
// The gateway's side: while it scans, it accepts connections that begin with a hello, and sends beacons.

#include "transports/tcp/beacon.hpp"

namespace cpns::tcp {

class central final : public hub {
 public:
  /// Binds; throws sdk::unavailable if that fails. A probe binds any free port.
  central(sdk::host out, settings s, bool probe);
  /// [any-thread]
  void scan(bool on);
  /// [any-thread]
  void save_power(bool on);

 private:
  void accept();
  void refuse(const asio::ip::tcp::socket& socket);
  void greet(const std::shared_ptr<connection>& c);
  void shut() override;

  asio::ip::tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  beacon_sender beacon_;
  bool scanning_ = false, accepting_ = false;
  bool files_reported_ = false;
  bool accept_failed_ = false;  ///< logged, and no accept succeeded since
  std::unordered_map<connection*, std::shared_ptr<connection>>
      strangers_;  ///< connections without a hello yet
};

}  // namespace cpns::tcp
