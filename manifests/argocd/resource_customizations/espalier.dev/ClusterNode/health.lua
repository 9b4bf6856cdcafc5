-- The status follows kstatus: observedGeneration, then Stalled, then Ready. A node whose daemon has never reported, or
-- was lost, is not an error of what was synced: kstatus says InProgress, and so does this.
local hs = { status = "Progressing", message = "Waiting for the operator to look at the node" }
if obj.status == nil then
  return hs
end
if obj.status.observedGeneration == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  hs.message = "Waiting for the operator to look at the newest spec"
  return hs
end
for _, condition in ipairs(obj.status.conditions or {}) do
  if condition.type == "Stalled" and condition.status == "True" then
    return { status = "Degraded", message = condition.message }
  end
end
for _, condition in ipairs(obj.status.conditions or {}) do
  if condition.type == "Ready" then
    if condition.status == "True" then
      return { status = "Healthy", message = condition.message }
    end
    hs.message = condition.message
  end
end
return hs
