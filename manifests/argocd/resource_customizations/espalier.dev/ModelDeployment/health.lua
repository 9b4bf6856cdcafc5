-- The status follows kstatus: observedGeneration, then Reconciling and Stalled, then Ready.
local hs = { status = "Progressing", message = "Waiting for the operator to look at the deployment" }
if obj.status == nil then
  return hs
end
if obj.status.observedGeneration == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  hs.message = "Waiting for the operator to look at the newest spec"
  return hs
end
local conditions = {}
for _, condition in ipairs(obj.status.conditions or {}) do
  conditions[condition.type] = condition
end
local function isTrue(type)
  return conditions[type] ~= nil and conditions[type].status == "True"
end
if isTrue("Stalled") then
  return { status = "Degraded", message = conditions.Stalled.message }
end
if obj.spec ~= nil and obj.spec.paused == true then
  return { status = "Suspended", message = "Paused: what runs keeps running, nothing is rolled out" }
end
if isTrue("Reconciling") then
  return { status = "Progressing", message = conditions.Reconciling.message }
end
if isTrue("Ready") then
  return { status = "Healthy", message = conditions.Ready.message }
end
if conditions.Ready ~= nil then
  hs.message = conditions.Ready.message
end
return hs
