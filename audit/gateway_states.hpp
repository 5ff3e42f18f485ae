#pragma once
// What became of a change of a gateway that a crash interrupted.

#include "audit/entry.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::audit {

// Actions that resolve_in_gateway_store() understands. The object is an Entity ID; `before` has the member "state", as the
// API shows it.
inline constexpr const char* pne_approve = "pne-approve";
inline constexpr const char* pne_reject = "pne-reject";
inline constexpr const char* pne_forget = "pne-forget";

/// A resolver for the actions above, by the rows of the PNEs. Other actions are `unknown`: they leave nothing in the store,
/// such as an update or the permit window, or nothing that tells the state before from the one after. `store` must
/// outlive it.
resolver resolve_in_gateway_store(const storage::sealed_store& store);

}  // namespace cpns::audit
