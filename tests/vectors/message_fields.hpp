#pragma once
// Messages in the JSON form that the vectors give them, so that every element is compared by name.

#include <boost/json.hpp>
#include <utility>

#include "protocol/messages.hpp"

namespace cpns::vectors {

/// The name and the fields of a decoded message.
using named_fields = std::pair<std::string, boost::json::object>;

named_fields fields_of(const protocol::radio_message& m);
named_fields fields_of(const protocol::link_request& m);
named_fields fields_of(const protocol::link_answer& m);
named_fields fields_of(const protocol::node_request& m);
named_fields fields_of(const protocol::node_acknowledgement& m);

}  // namespace cpns::vectors
