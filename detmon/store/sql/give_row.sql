INSERT INTO given BY NAME SELECT $line AS line, $prediction_id AS prediction_id, $detection_index AS detection_index,
  $feedback_type AS feedback_type, $true_label AS true_label, $bbox AS bbox, $scope AS scope, $reviewer AS reviewer,
  $timestamp AS "timestamp", $feedback_id AS feedback_id
