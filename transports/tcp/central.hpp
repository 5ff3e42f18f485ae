#pragma once
// The gateway's side: listens once it scans, takes connections that say hello, announces itself.

#include "transports/tcp/beacon.hpp"

namespace cpns::tcp {

class central final : public hub {
 public:
  /// Binds; throws sdk::unavailable if that fails. A probe binds a port of the system's choice.
  central(sdk::host out, settings s, bool probe);
  /// [any-thread]
  void scan(bool on);
  /// [any-thread]
  void save_power(bool on);

 private:
  void accept();
  void refuse_one_more(const asio::ip::tcp::socket& socket);
  void greet(const std::shared_ptr<connection>& c);
  void shut() override;

  asio::ip::tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  beacon_sender beacon_;
  bool scanning_ = false, accepting_ = false;
  bool files_reported_ = false;
  bool complained_ = false;  ///< of a failed accept, and none succeeded since
  std::unordered_map<connection*, std::shared_ptr<connection>> strangers_;  ///< have not said hello yet
};

}  // namespace cpns::tcp
